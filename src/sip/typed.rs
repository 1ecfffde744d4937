//! What rules and reports ask a message for beyond what every message has; read when asked for.

use super::body::{Part, Parts};
use super::grammar::Commas;
use super::start::StartLine;
use super::values::{Event, RAck, Reason, Replaces, RetryAfter, SessionExpires, SubscriptionState, Warning, small};
use super::{HeaderName, Message, Method, Passport};
use memchr::memchr;

impl Message {
    /// The readable Warning values.
    pub fn warnings(&self) -> impl Iterator<Item = Warning<'_>> {
        self.values(HeaderName::Warning).flat_map(Commas::new).filter_map(Warning::parse)
    }

    /// The readable Reason values.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.values(HeaderName::Reason).flat_map(Commas::new).filter_map(Reason::parse)
    }

    /// Retry-After.
    pub fn retry_after(&self) -> Option<RetryAfter<'_>> {
        RetryAfter::parse(self.header(HeaderName::RetryAfter)?)
    }

    /// Session-Expires.
    pub fn session_expires(&self) -> Option<SessionExpires> {
        SessionExpires::parse(self.header(HeaderName::SessionExpires)?)
    }

    /// Min-SE, in seconds.
    pub fn min_se(&self) -> Option<u32> {
        SessionExpires::parse(self.header(HeaderName::MinSe)?).map(|least| least.seconds)
    }

    /// Event.
    pub fn event(&self) -> Option<Event<'_>> {
        Event::parse(self.header(HeaderName::Event)?)
    }

    /// Subscription-State.
    pub fn subscription_state(&self) -> Option<SubscriptionState<'_>> {
        SubscriptionState::parse(self.header(HeaderName::SubscriptionState)?)
    }

    /// Replaces.
    pub fn replaces(&self) -> Option<Replaces<'_>> {
        Replaces::parse(self.header(HeaderName::Replaces)?)
    }

    /// RAck.
    pub fn rack(&self) -> Option<RAck<'_>> {
        RAck::parse(self.header(HeaderName::RAck)?)
    }

    /// RSeq.
    pub fn rseq(&self) -> Option<u32> {
        small(self.header(HeaderName::RSeq)?)
    }

    /// The readable Identity values (RFC 8224).
    pub fn passports(&self) -> impl Iterator<Item = Passport<'_>> {
        self.values(HeaderName::Identity).flat_map(Commas::new).filter_map(Passport::parse)
    }

    /// The whole body, as one part.
    pub fn content(&self) -> Part<'_> {
        let content_type = self.header(HeaderName::ContentType).unwrap_or_default();
        Part { content_type, content: self.body(), ..Part::default() }
    }

    /// The parts of a multipart body; nothing for any other.
    pub fn parts(&self) -> Parts<'_> {
        self.content().parts()
    }

    /// The piece of a message in the body of a NOTIFY (message/sipfrag, RFC 3420): how a transfer goes on.
    pub fn fragment(&self) -> Option<Fragment<'_>> {
        let whole = self.content();
        let part = std::iter::once(whole).chain(self.parts()).find(|part| part.is("message", "sipfrag"))?;
        Fragment::parse(part.content)
    }
}

/// A piece of a message (RFC 3420): a start line, header fields, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment<'a> {
    /// Status of a response.
    pub status: Option<u16>,
    /// Method of a request.
    pub method: Option<Method>,
    /// Reason phrase of a response.
    pub reason: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the start line; `None` when the piece is empty.
    fn parse(piece: &'a [u8]) -> Option<Self> {
        let piece = piece.trim_ascii_start();
        let line = memchr(b'\n', piece).map_or(piece, |end| &piece[..end]).trim_ascii_end();
        let none = Self { status: None, method: None, reason: b"" };
        match StartLine::parse(line) {
            _ if line.is_empty() => None,
            Some(StartLine::Request { method, .. }) => Some(Self { method: Some(Method::from_bytes(method)), ..none }),
            Some(StartLine::Response { status, reason, .. }) => {
                let status = small(status).and_then(|status| u16::try_from(status).ok());
                Some(Self { status, reason, ..none })
            }
            None => Some(none),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &str, body: &str) -> Message {
        let text = format!("NOTIFY sip:x SIP/2.0\r\n{headers}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Message::parse(text.into())
    }

    #[test]
    fn typed_values_are_read_from_all_headers_of_a_name() {
        let message = message(
            "Warning: 399 a \"b, c\", 301 d \"e\"\r\nWarning: 302 f \"g\"\r\nReason: SIP;cause=200, Q.850;cause=16\r\n\
             x: 90;refresher=uac\r\nMin-SE: 60\r\no: refer;id=2\r\nRSeq: 7\r\nRAck: 7 1 INVITE\r\nRetry-After: 5\r\n\
             Subscription-State: active;expires=60\r\nReplaces: a@b;to-tag=c;from-tag=d\r\ny: ..c2ln",
            "",
        );
        assert_eq!(message.warnings().map(|warning| warning.code).collect::<Vec<_>>(), [399, 301, 302]);
        assert_eq!(message.reasons().filter_map(|reason| reason.cause).collect::<Vec<_>>(), [200, 16]);
        let timer = message.session_expires().map(|timer| timer.seconds);
        assert_eq!((timer, message.min_se(), message.rseq()), (Some(90), Some(60), Some(7)));
        assert_eq!(message.event().unwrap().package, b"refer");
        assert_eq!((message.rack().unwrap().rseq, message.retry_after().unwrap().seconds), (7, 5));
        assert_eq!(message.subscription_state().unwrap().expires, Some(60));
        assert_eq!((message.replaces().unwrap().call_id, message.passports().count()), (b"a@b".as_slice(), 1));
    }

    #[test]
    fn a_fragment_tells_how_a_transfer_goes_on() {
        let kind = "Content-Type: message/sipfrag;version=2.0";
        let ringing = message(kind, "SIP/2.0 180 Ringing");
        let fragment = ringing.fragment().unwrap();
        assert_eq!((fragment.status, fragment.reason), (Some(180), b"Ringing".as_slice()));
        let request = message(kind, "REFER sip:x SIP/2.0\r\nTo: <sip:x>\r\n");
        assert_eq!(request.fragment().unwrap().method, Some(Method::Refer));
        assert_eq!(message(kind, "To: <sip:x>\r\n").fragment().unwrap().status, None);
        assert_eq!(message(kind, "").fragment(), None);
        assert_eq!(message("Content-Type: text/plain", "SIP/2.0 200 OK").fragment(), None);
        let inside = "--b\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 200 OK\r\n\r\n--b--\r\n";
        let several = message("Content-Type: multipart/mixed;boundary=b", inside);
        assert_eq!(several.fragment().unwrap().status, Some(200));
    }
}
