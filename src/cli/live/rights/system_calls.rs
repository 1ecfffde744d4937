//! System calls that the program never makes, refused by seccomp.
//!
//! A list of what is refused, not of what is allowed: libpcap, the C library and the threads choose their calls anew with
//! every version, and a call that is missing from a list would end a run that lasts for weeks. What is refused starts
//! programs, looks into other processes, changes the system, or opens parts of the kernel that no listener needs and in
//! which holes were found again and again. It fails with EPERM, as for anybody who lacks the right.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;

/// Refused with "operation not permitted".
const REFUSED: &[libc::c_long] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // File systems and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel and its programs.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_syslog,
    libc::SYS_acct,
    // Keys of the kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_personality,
];

/// Refused with "no such call": whoever makes them then makes older ones, of which more can be seen.
const UNKNOWN: &[libc::c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Refuses these calls to all threads. What is in force then, in words.
pub(super) fn refuse() -> String {
    let all = || {
        let architecture = std::env::consts::ARCH;
        for (calls, errno) in [(refused()?, libc::EPERM), (whole(UNKNOWN), libc::ENOSYS)] {
            let answer = SeccompAction::Errno(errno.unsigned_abs());
            let filter = SeccompFilter::new(calls, SeccompAction::Allow, answer, architecture.try_into()?)?;
            seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)?;
        }
        Ok::<_, seccompiler::Error>(())
    };
    match all() {
        Ok(()) => {
            "system calls: those that start programs, look into others or change the system are refused (seccomp)"
                .to_owned()
        }
        Err(why) => format!("system calls: all (seccomp: {why})"),
    }
}

/// Whatever the arguments are.
fn whole(calls: &[libc::c_long]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn refused() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut calls = whole(REFUSED);
    // Threads are clones; only one that takes a user namespace along gets rights within it.
    let namespace = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let takes_one = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(namespace), namespace)?;
    calls.insert(libc::SYS_clone, vec![SeccompRule::new(vec![takes_one])?]);
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;

    /// A filter holds for the whole process, for good.
    #[test]
    #[ignore = "run by the test below, in a process of its own"]
    fn refused_calls_fail() {
        let before = thread::spawn(|| {
            thread::park();
            Command::new("true").spawn().is_ok()
        });
        assert!(Command::new("true").status().is_ok());
        let told = refuse();
        println!("{told}");
        if told.contains("all (") {
            return;
        }
        assert!(Command::new("true").spawn().is_err());
        before.thread().unpark();
        assert!(!before.join().unwrap(), "a thread from before may still start programs");
        assert_eq!(thread::spawn(|| 1 + 1).join().ok(), Some(2));
    }

    #[test]
    fn programs_are_not_started_and_threads_are() {
        let test = "cli::live::rights::system_calls::tests::refused_calls_fail";
        let run =
            Command::new(std::env::current_exe().unwrap()).args(["--ignored", "--exact", "--nocapture", test]).output();
        let output = run.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
