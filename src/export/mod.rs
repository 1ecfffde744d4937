//! Writes what belongs to some calls into a capture of its own, renamed if asked; and messages as they come for a collector.
//!
//! Three walks over the input keep memory in proportion to the calls: the analysis, [`Marker`], which finds the
//! frames, and [`Copier`], which writes them. docs/export.md says what belongs to a call.

mod anonymize;
mod belongs;
mod border;
mod collector;
mod copier;
mod hep;
mod keys;
mod marker;
mod pdu;
mod streams;

pub use anonymize::Namer;
pub use belongs::Belongs;
pub use border::frame as border;
pub use collector::{Collector, CollectorAddress, TlsClient};
pub use copier::{Copier, Written};
pub use hep::{packet as hep_packet, taker as hep_taker};
pub use marker::{Marked, Marker};

/// Gives other names to everybody in a SIP message, which may be cut anywhere. Its length stays.
pub fn rename(namer: &mut Namer, message: &mut [u8]) {
    anonymize::message(namer, message);
}

/// What the user wants of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// With RTP and RTCP, and the errors about them.
    pub media: bool,
    /// What came under TLS as messages in the clear.
    pub decrypted: bool,
    /// With other names: nothing is written that could not be renamed.
    pub anonymous: bool,
}
