//! A SIP message as it passed the observation point.

use crate::base::{Connection, Frames, Idx, Timestamp};
use crate::sip::Message;

/// One SIP message on the wire: the message, and when, where and in which frames it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was said.
    pub message: Message,
    /// The frames that carried it.
    pub frames: Frames,
    /// Time of the frame that completed it.
    pub time: Timestamp,
    /// Who sent it to whom over what.
    pub connection: Connection,
    /// Which sending of the message it is.
    pub sending: Sending,
    /// What it was wrapped in (VLANs, tunnels): a number that the analysis knows; 0 for nothing.
    pub wrapped: u16,
    /// Observation point: interface of the capture.
    pub interface: u32,
    /// Another observation point of the same hop, which was recording and did not see it.
    pub unseen_at: Option<u32>,
}

/// What tells a message that was captured again from one that was sent again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sending {
    /// Out of a stream. TCP and SCTP number what they carry, so copies never come as far as here:
    /// what is here was sent.
    Stream,
    /// A datagram without identification (IPv6): only time can tell.
    Unnumbered,
    /// A datagram with this IP identification, which comes around again.
    Packet(u16),
    /// Passed on whole by other programs, over whatever transport it was; which sending it is by their
    /// count.
    Passed(u32),
}

/// Number of a message within its call, in order of capture, from 0.
pub type MessageNo = Idx<Seen>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_each_message_is_small() {
        assert!(size_of::<Seen>() <= 200, "{}", size_of::<Seen>());
    }
}
