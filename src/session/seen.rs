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
    /// IP identification of the frame; 0 when there is none (IPv6, streams).
    pub ip_id: u16,
    /// Observation point: interface of the capture.
    pub interface: u32,
    /// Another observation point of the same hop, which was recording and did not see it.
    pub unseen_at: Option<u32>,
}

/// Number of a message within its call, in order of capture, from 0.
pub type MessageNo = Idx<Seen>;
