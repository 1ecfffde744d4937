//! The letters in which a call is compared with a flow: one per message on a hop.

/// What a message is about: a request as flows tell it apart, or the request that a response answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verb {
    /// INVITE outside of a dialog.
    Invite,
    /// INVITE within a dialog that moves media.
    Reinvite,
    /// ACK to a 2xx.
    Ack,
    /// ACK to a failure: part of the INVITE transaction, hop by hop (RFC 3261 17.1.1.3).
    AckFailure,
    /// ACK to the 2xx of a re-INVITE.
    AckReinvite,
    /// CANCEL.
    Cancel,
    /// BYE.
    Bye,
    /// REGISTER.
    Register,
}

impl Verb {
    /// Every verb with its name in .flow files.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::Invite, "INVITE"),
        (Self::Reinvite, "re-INVITE"),
        (Self::Ack, "ACK"),
        (Self::AckFailure, "ACK to failure"),
        (Self::AckReinvite, "ACK to re-INVITE"),
        (Self::Cancel, "CANCEL"),
        (Self::Bye, "BYE"),
        (Self::Register, "REGISTER"),
    ];

    /// Name in .flow files.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(verb, _)| *verb == self).map_or("", |(_, name)| name)
    }

    /// Method as in a start line.
    pub fn method_name(self) -> &'static str {
        match self {
            Self::Invite | Self::Reinvite => "INVITE",
            Self::Ack | Self::AckFailure | Self::AckReinvite => "ACK",
            Self::Cancel => "CANCEL",
            Self::Bye => "BYE",
            Self::Register => "REGISTER",
        }
    }

    /// The exchange it belongs to: what is missing before the first message that was seen is told only
    /// within the exchange of that message.
    #[must_use]
    pub fn exchange(self) -> Self {
        match self {
            Self::Ack | Self::AckFailure => Self::Invite,
            Self::AckReinvite => Self::Reinvite,
            other => other,
        }
    }

    /// Whether only elements in the route set see it (RFC 3261 16.6, 16.12): in-dialog requests.
    pub fn is_in_dialog(self) -> bool {
        matches!(self, Self::Ack | Self::AckReinvite | Self::Reinvite | Self::Bye)
    }
}

/// Contact of a REGISTER (RFC 3261 10.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Contact {
    /// None: a query.
    None,
    /// Bindings to add or refresh.
    Some,
    /// Bindings to remove: `*`, or nothing but contacts that expire at once.
    Removal,
}

/// One message on a hop, as flows see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The request, or the request that this response answers.
    pub verb: Verb,
    /// Status code; 0 for a request.
    pub status: u16,
    /// From the caller's side to the callee's.
    pub down: bool,
    /// It carries credentials.
    pub credentials: bool,
    /// Contact of a REGISTER.
    pub contact: Contact,
    /// A response that follows its own request: the two cannot have changed places.
    pub answers: bool,
    /// A provisional response after the final one (overtaken on the wire).
    pub late: bool,
}

/// Outcome class of a status code. Challenges and redirections invite the client to go on and are no
/// failures.
pub(super) fn class(status: u16) -> u8 {
    match status {
        0 => 0,
        1..=199 => 1,
        200..=299 => 2,
        300..=399 => 3,
        401 | 407 => 4,
        _ => 5,
    }
}

/// The usual reason phrase of the status codes that flows speak of.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "",
    }
}
