//! The right to open interfaces, CAP_NET_RAW: in force while one is opened, and not otherwise.

#[cfg(target_os = "linux")]
use caps::{CapSet, Capability};

/// Opens an interface with the right to do so, where this thread may have it. (Linux keeps rights by thread.)
pub(super) fn with<T>(open: impl FnOnce() -> T) -> T {
    // Where it may not, opening says so in better words.
    #[cfg(target_os = "linux")]
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW);
    let opened = open();
    #[cfg(target_os = "linux")]
    let _ = caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW);
    opened
}
