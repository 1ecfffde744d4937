//! Giving up rights: once everything is open, what reads packets from strangers may no more than it needs.
//!
//! It is done before the first thread starts, because Linux keeps rights by thread and a new one has those of its parent.

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(target_os = "linux")]
mod user;

use crate::base::Error;
use crate::cli::args::RightsArgs;
use std::path::PathBuf;

/// Who root becomes unless told otherwise.
const NOBODY: &str = "nobody";
/// Who stays root.
const ROOT: &str = "root";

/// What a run still has to reach after it gave up its rights. What is open already needs no mention.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Files and folders that are opened later, to be read; a run without them would be in vain.
    pub(super) read: Vec<PathBuf>,
    /// Files that were read and may be read again; without the right to do so the old content stays.
    pub(super) read_again: Vec<PathBuf>,
    /// Files that are written and may be made anew when they were moved away; without the right to do so, the old ones stay.
    pub(super) write_again: Vec<PathBuf>,
    /// Folders to write into. Those that do not exist are made, and given to the user who writes.
    pub(super) write: Vec<PathBuf>,
    /// TCP ports that are opened later, to be connected to.
    pub(super) listen: Vec<u16>,
    /// TCP ports of others, to connect to.
    pub(super) connect: Vec<u16>,
    /// Whether names of hosts and services are looked up later.
    pub(super) look_up: bool,
    /// Whether interfaces are opened later: again, when they come back.
    pub(super) reopen: bool,
}

/// Gives up what the run does not need. What is in force then, in words for `--verbose`.
///
/// # Errors
/// [`Error::Usage`] when the user cannot be had, or may not do what was asked for.
#[cfg(target_os = "linux")]
pub(super) fn give_up(args: &RightsArgs, needs: &Needs) -> Result<Vec<String>, Error> {
    let user = user::of(args)?;
    user::make_folders(&needs.write, user.as_ref())?;
    if let Some(user) = &user {
        user::become_it(user, needs.reopen)?;
    }
    user::drop_capabilities(needs.reopen)?;
    let name = user.map_or_else(user::current, |user| user.name);
    user::check(&name, needs)?;
    let capabilities = if needs.reopen && user::may_reopen() {
        "no capabilities but, for threads of interfaces, CAP_NET_RAW to open theirs again"
    } else {
        "no capabilities"
    };
    let mut told = vec![format!("running as {name}, with {capabilities}")];
    if args.no_sandbox {
        told.push("no sandbox (--no-sandbox)".to_owned());
    } else {
        told.push(files::close(needs));
        told.push(system_calls::refuse());
    }
    Ok(told)
}

/// Takes from this thread what only those of interfaces need: to be called when they have started.
pub(super) fn give_up_rest() {
    #[cfg(target_os = "linux")]
    user::forget_reopening();
}

/// Other systems know users, and little else that a program can ask for.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn give_up(args: &RightsArgs, _needs: &Needs) -> Result<Vec<String>, Error> {
    let is_root = nix::unistd::Uid::effective().is_root();
    let name = args.user.as_deref().unwrap_or(NOBODY);
    if !is_root || name == ROOT {
        return Ok(Vec::new());
    }
    privdrop::PrivDrop::default()
        .user(name)
        .apply()
        .map_err(|why| Error::Usage(format!("cannot become {name}: {why}; --user {ROOT} stays root")))?;
    Ok(vec![format!("running as {name}")])
}

/// Nothing is known of other systems.
#[cfg(not(unix))]
pub(super) fn give_up(_args: &RightsArgs, _needs: &Needs) -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}
