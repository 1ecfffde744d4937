//! The file system and the network as the program sees them from then on: what it needs, by Landlock.

use super::Needs;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use std::path::Path;

/// The newest that is asked for; an older kernel does what it knows of it.
const KNOWN: ABI = ABI::V6;
/// DNS.
const NAMES: u16 = 53;

/// What the threads that come ask of the system: how many cores they may use.
const OWN: &[&str] = &["/proc/self", "/sys/fs/cgroup"];
/// What libpcap asks of an interface that it opens. (Entries of the first are links into the second.)
const INTERFACES: &[&str] = &["/sys/class/net", "/sys/devices"];
/// What the C library asks for names of hosts, services and protocols, and the code that it loads for that.
const LOOKING_UP: &[&str] = &[
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/ethers",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
    "/run/nscd",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// Closes the rest of the file system and the TCP ports. What is in force then, in words.
pub(super) fn close(needs: &Needs) -> String {
    match restrict(needs) {
        Ok(RulesetStatus::FullyEnforced) => "files and TCP ports: only those needed (Landlock)".to_owned(),
        Ok(RulesetStatus::PartiallyEnforced) => {
            "files: only those needed (Landlock, as far as this kernel knows it)".to_owned()
        }
        Ok(RulesetStatus::NotEnforced) => "files: all (this kernel has no Landlock)".to_owned(),
        Err(why) => format!("files: all (Landlock: {why})"),
    }
}

fn restrict(needs: &Needs) -> Result<RulesetStatus, RulesetError> {
    let reads = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let writes =
        reads | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});
    let makes = make_bitflags!(AccessFs::{WriteFile | MakeReg});
    let also = |wanted: bool, paths: &'static [&'static str]| if wanted { paths } else { &[] }.iter().map(Path::new);
    let read = (needs.read.iter().chain(&needs.read_again).map(AsRef::as_ref))
        .chain(also(true, OWN))
        .chain(also(needs.reopen, INTERFACES))
        .chain(also(needs.look_up, LOOKING_UP));
    let names = needs.look_up.then_some(&NAMES);
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(read, reads))?
        .add_rules(path_beneath_rules(&needs.write, writes))?
        .add_rules(path_beneath_rules(needs.write_again.iter().filter_map(|file| folder_of(file)), makes))?
        .add_rules(ports(needs.listen.iter(), AccessNet::BindTcp))?
        .add_rules(ports(needs.connect.iter().chain(names), AccessNet::ConnectTcp))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}

/// "" is no folder for the kernel.
fn folder_of(file: &Path) -> Option<&Path> {
    file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

fn ports<'a>(
    ports: impl Iterator<Item = &'a u16>,
    access: AccessNet,
) -> impl Iterator<Item = Result<NetPort, RulesetError>> {
    ports.map(move |port| Ok(NetPort::new(*port, BitFlags::from(access))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::{fs, thread};

    #[test]
    fn only_what_is_needed_can_be_reached() {
        let folder = std::env::temp_dir().join(format!("callflow-files-{}", std::process::id()));
        let [read, write, other] = ["read", "write", "other"].map(|name| folder.join(name));
        for one in [&read, &write, &other] {
            fs::create_dir_all(one).unwrap();
            fs::write(one.join("file"), b"").unwrap();
        }
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let needs =
            Needs { read: vec![read.clone()], write: vec![write.clone()], listen: vec![port], ..Needs::default() };
        // It holds for the thread that asks for it, and for those that it starts.
        let tried = thread::spawn(move || {
            let told = close(&needs);
            let is = [
                fs::read(read.join("file")).is_ok(),
                fs::write(read.join("file"), b"x").is_ok(),
                fs::write(write.join("file"), b"x").is_ok(),
                fs::rename(write.join("file"), write.join("new")).is_ok(),
                fs::read(other.join("file")).is_ok(),
                fs::write(other.join("new"), b"x").is_ok(),
                thread::spawn(|| fs::read("/etc/passwd").is_ok()).join().unwrap(),
            ];
            (told, is, TcpListener::bind(("127.0.0.1", port)).is_ok(), TcpListener::bind("127.0.0.1:0").is_ok())
        });
        let (told, is, may_listen, may_listen_elsewhere) = tried.join().unwrap();
        fs::remove_dir_all(folder).unwrap();
        if told.starts_with("files: all") {
            println!("skipped: {told}");
            return;
        }
        assert_eq!(is, [true, false, true, true, false, false, false], "{told}");
        assert!(may_listen);
        assert!(!may_listen_elsewhere || !told.contains("TCP"), "{told}");
    }
}
