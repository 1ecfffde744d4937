//! Who the program is, and its capabilities.

use super::{NOBODY, Needs, ROOT};
use crate::base::Error;
use crate::cli::args::RightsArgs;
use crate::cli::log::{self, Level};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{self, AccessFlags, Uid, User};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// Who root becomes: `None` when it is not root, or stays root.
pub(super) fn of(args: &RightsArgs) -> Result<Option<User>, Error> {
    let name = args.user.as_deref();
    if !Uid::effective().is_root() {
        return match name {
            Some(name) if name != current() => Err(refused(name, &"only root may become another user")),
            _ => Ok(None),
        };
    }
    let name = name.unwrap_or(NOBODY);
    if name == ROOT {
        let warning = "--user root: what reads the packets stays root, and may all that root's files allow";
        log::tell(Level::Warning, "rights", &warning, &[]);
        return Ok(None);
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => Err(refused(name, &"there is no such user")),
        Err(why) => Err(refused(name, &why.desc())),
    }
}

fn refused(name: &str, why: &dyn Display) -> Error {
    Error::Usage(format!("cannot become {name}: {why}; --user NAME takes another user, --user {ROOT} stays root"))
}

/// The name of who the program is now, or the number.
pub(super) fn current() -> String {
    let number = Uid::effective();
    User::from_uid(number).ok().flatten().map_or_else(|| format!("user {number}"), |user| user.name)
}

/// Makes the folders that there are not, for the user who will write.
pub(super) fn make_folders(folders: &[PathBuf], user: Option<&User>) -> Result<(), Error> {
    for path in folders.iter().filter(|path| !path.exists()) {
        let failed = |source| Error::Io { path: path.clone(), source };
        fs::create_dir_all(path).map_err(failed)?;
        if let Some(user) = user {
            unistd::chown(path, Some(user.uid), Some(user.gid)).map_err(|why| failed(why.into()))?;
        }
    }
    Ok(())
}

/// Becomes this user, in all threads, without other groups. With `keep`, capabilities stay for now.
pub(super) fn become_it(user: &User, keep: bool) -> Result<(), Error> {
    let become_it = || {
        prctl::set_keepcaps(keep)?;
        unistd::setgroups(&[])?;
        unistd::setgid(user.gid)?;
        unistd::setuid(user.uid)?;
        prctl::set_keepcaps(false)
    };
    become_it().map_err(|why: Errno| refused(&user.name, &why.desc()))
}

/// Gives up all capabilities of this thread, and of those that it starts; with `reopen`, all but the right to take
/// CAP_NET_RAW again. No program that is started has more.
pub(super) fn drop_capabilities(reopen: bool) -> Result<(), Error> {
    let failed = |why: &dyn Display| Error::Usage(format!("cannot give up capabilities: {why}"));
    let mut kept = CapsHashSet::new();
    if reopen && may_reopen() {
        kept.insert(Capability::CAP_NET_RAW);
    }
    // Of kernels that know none, there are none to give up.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Effective).map_err(|why| failed(&why))?;
    caps::clear(None, CapSet::Inheritable).map_err(|why| failed(&why))?;
    caps::set(None, CapSet::Permitted, &kept).map_err(|why| failed(&why))?;
    prctl::set_no_new_privs().map_err(|why| failed(&why.desc()))
}

/// Whether this thread may take CAP_NET_RAW.
pub(super) fn may_reopen() -> bool {
    caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap_or(false)
}

/// This thread opens no interface.
pub(super) fn forget_reopening() {
    // It may always give up what it has.
    let _ = caps::clear(None, CapSet::Permitted);
}

/// Whether this user may do what was asked for: told now, not when the first file is due.
pub(super) fn check(name: &str, needs: &Needs) -> Result<(), Error> {
    let refused = |path: &Path, what: &str| {
        Error::Usage(format!(
            "{name} may not {what} {}; --user NAME takes another user, --user {ROOT} stays root",
            path.display()
        ))
    };
    let lacks = |path: &Path, flags| unistd::access(path, flags) == Err(Errno::EACCES);
    if let Some(path) = needs.read.iter().find(|path| lacks(path, AccessFlags::R_OK)) {
        return Err(refused(path, "read"));
    }
    match needs.write.iter().find(|path| lacks(path, AccessFlags::W_OK | AccessFlags::X_OK)) {
        Some(path) => Err(refused(path, "write into")),
        None => Ok(()),
    }
}
