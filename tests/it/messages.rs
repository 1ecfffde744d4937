//! Properties of reading messages: what was put together is read back, and no input costs more than its length.

use callflow::sip::{HeaderName, Message, Method};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// The parts that a message is made of.
#[derive(Clone, Debug)]
struct Parts {
    method: String,
    user: String,
    display: String,
    from_tag: String,
    to_tag: Option<String>,
    call_id: String,
    cseq: u32,
    branches: Vec<String>,
    hops: u8,
    extra: Vec<(String, String)>,
    body: Vec<u8>,
    status: Option<u16>,
    /// Spelling: compact names, folds, one Via header for all.
    compact: bool,
    folded: bool,
    joined: bool,
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,20}"
}

prop_compose! {
    fn parts()(
        method in prop_oneof![Just("INVITE".to_owned()), Just("REGISTER".to_owned()), "X[A-Z0-9.!%*_+`'~-]{0,11}"],
        user in "[A-Za-z0-9._!~*'()&=+$,;?/-]{1,12}",
        display in "[ -!#-\\[\\]-~äß字]{0,16}",
        from_tag in token(),
        to_tag in proptest::option::of(token()),
        call_id in "[A-Za-z0-9.!%*_+`'~()<>:/\\[\\]?{}-]{1,20}",
        cseq in 0u32..1 << 31,
        branches in proptest::collection::vec(token(), 1..6),
        hops in any::<u8>(),
        extra in proptest::collection::vec(("X-[A-Za-z0-9-]{1,10}", "[!-~]([ -~]{0,20}[!-~])?"), 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        status in proptest::option::of(100u16..700),
        (compact, folded, joined) in any::<(bool, bool, bool)>(),
    ) -> Parts {
        Parts {
            method, user, display, from_tag, to_tag, call_id, cseq, branches, hops, extra, body, status, compact, folded, joined,
        }
    }
}

impl Parts {
    fn print(&self) -> Vec<u8> {
        let name = |long: &'static str, short: &'static str| if self.compact { short } else { long };
        let space = if self.folded { "\r\n \t" } else { " " };
        let start = match self.status {
            Some(status) => format!("SIP/2.0 {status} {}", self.display.trim()),
            None => format!("{} sip:{}@example.com SIP/2.0", self.method, self.user),
        };
        let vias: Vec<String> =
            self.branches.iter().map(|branch| format!("SIP/2.0/UDP{space}h:5070;branch=z9hG4bK{branch}")).collect();
        let separator = if self.joined { format!(",{space}") } else { format!("\r\n{}: ", name("Via", "v")) };
        let uri = format!("<sip:{}@example.com>", self.user);
        let tag = self.to_tag.as_ref().map_or(String::new(), |tag| format!("{space};tag={tag}"));
        let mut lines = vec![
            start,
            format!("{}: {}", name("Via", "v"), vias.join(&separator)),
            format!("{}: \"{}\"{space}{uri};tag={}", name("From", "f"), self.display, self.from_tag),
            format!("{}:{space}{uri}{tag}", name("To", "t")),
            format!("{}: {}", name("Call-ID", "i"), self.call_id),
            format!("CSeq: {}{space}{}", self.cseq, self.method),
            format!("Max-Forwards: {}", self.hops),
            format!("{}: <sip:c@h>", name("Contact", "m")),
            format!("{}: a/b", name("Content-Type", "c")),
        ];
        lines.extend(self.extra.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.push(format!("{}: {}\r\n\r\n", name("Content-Length", "l"), self.body.len()));
        let mut raw = lines.join("\r\n").into_bytes();
        raw.extend_from_slice(&self.body);
        raw
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(parts in parts()) {
        let message = Message::parse(parts.print().into());
        prop_assert_eq!(message.status(), parts.status);
        prop_assert_eq!(message.method_name(), parts.method.as_str());
        prop_assert_eq!(message.method(), Method::from_bytes(parts.method.as_bytes()));
        let uri = format!("sip:{}@example.com", parts.user);
        let target = if parts.status.is_some() { "" } else { uri.as_str() };
        prop_assert_eq!(message.request_uri(), target.as_bytes());
        prop_assert_eq!(message.from_uri(), uri.as_bytes());
        prop_assert_eq!(message.to_uri(), uri.as_bytes());
        prop_assert_eq!(message.from_tag(), parts.from_tag.as_bytes());
        prop_assert_eq!(message.to_tag(), parts.to_tag.as_deref().unwrap_or_default().as_bytes());
        prop_assert_eq!(message.call_id(), parts.call_id.as_bytes());
        prop_assert_eq!(message.cseq_number(), Some(parts.cseq));
        let branches: Vec<String> = message.vias().map(|via| String::from_utf8_lossy(via.branch).into_owned()).collect();
        prop_assert_eq!(branches, parts.branches.iter().map(|branch| format!("z9hG4bK{branch}")).collect::<Vec<_>>());
        let display = message.addresses(HeaderName::From).next().map(|from| from.display.to_vec());
        prop_assert_eq!(display, Some(parts.display.clone().into_bytes()));
        let extra: Vec<_> = message.headers().filter(|header| header.raw_name.starts_with(b"X-")).collect();
        prop_assert_eq!(extra.len(), parts.extra.len());
        for (header, (name, value)) in extra.iter().zip(&parts.extra) {
            prop_assert_eq!((header.raw_name, header.value), (name.as_bytes(), value.as_bytes()));
        }
        prop_assert_eq!(message.body(), parts.body.as_slice());
    }

    #[test]
    fn what_is_printed_has_no_errors(parts in parts()) {
        let message = Message::parse(parts.print().into());
        let faults = message.faults();
        let bad = faults.iter().find(|fault| fault.severity == callflow::sip::FaultSeverity::Error);
        // A final answer to be authenticated needs its challenge.
        prop_assert!(bad.is_none_or(|fault| fault.header.ends_with("-Authenticate")), "{bad:?}");
    }

    #[test]
    fn faults_lie_within_the_message(mut raw in parts().prop_map(|parts| parts.print()), at in any::<prop::sample::Index>(),
            junk in prop::collection::vec(prop::sample::select(b"\"<>;,:@%[] \t\r\n\0\xff".to_vec()), 1..6)) {
        let at = at.index(raw.len());
        raw.splice(at..at, junk);
        let message = Message::parse(raw.clone().into());
        for fault in message.faults() {
            prop_assert!(fault.offset as usize + fault.len as usize <= raw.len(), "{fault:?}");
        }
    }
}

/// Everything that reads a message at all.
fn read_all(raw: Vec<u8>) -> usize {
    let message = Message::parse(raw.into());
    let _ =
        (message.vias().count(), message.contacts().count(), message.routes().count(), message.record_routes().count());
    let _ = (
        message.challenges().count(),
        message.credentials().count(),
        message.warnings().count(),
        message.reasons().count(),
    );
    let _ = (message.retry_after(), message.event(), message.replaces(), message.rack(), message.session_expires());
    let _ = (message.passports().count(), message.parts().count(), message.fragment(), message.sdp());
    message.faults().len()
}

/// Reads one header of about `len` bytes made of `piece`.
#[allow(clippy::disallowed_methods)] // the claim is about time
fn read_long(name: &str, piece: &str, len: usize) {
    let head = "INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n";
    let text = format!("{head}{name}: {}\r\nContent-Length: 0\r\n\r\n", piece.repeat(len / piece.len()));
    let start = Instant::now();
    read_all(text.into_bytes());
    assert!(start.elapsed() < Duration::from_secs(20), "{name} {piece:?}");
}

/// A quadratic reader would need minutes for any of these.
#[test]
fn long_headers_cost_what_their_bytes_cost() {
    const PIECES: [&str; 19] = [
        "a",
        "\"",
        "\\\"",
        "\"\"",
        "<",
        ">",
        "<>",
        ",",
        ";",
        ";,",
        "SIP/2.0/UDP x,",
        "<sip:x>,",
        "\r\n ",
        "=",
        "%",
        "(",
        "\u{e4}",
        "\0",
        "/",
    ];
    for piece in PIECES {
        for name in ["Via", "From", "Contact", "Warning", "Authorization", "Identity", "X"] {
            read_long(name, piece, 128 << 10);
        }
    }
    for (name, piece) in [("Via", "SIP/2.0/UDP x,"), ("Contact", "<sip:x>;q=1,"), ("From", "\""), ("X", "\r\n ")] {
        read_long(name, piece, 4 << 20);
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // the claim is about time
fn a_hundred_thousand_of_anything_is_read_in_time() {
    for line in [
        "Via: SIP/2.0/UDP x;branch=z9hG4bK1\r\n",
        "Contact: <sip:x>;q=7\r\n",
        "Warning: \"\r\n",
        "no colon\r\n",
        " fold\r\n",
        "\t\n",
    ] {
        let text = format!("INVITE sip:x SIP/2.0\r\n{}\r\n", line.repeat(100_000));
        let start = Instant::now();
        assert!(read_all(text.into_bytes()) <= 256, "{line:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{line:?}");
    }
    let parts = format!(
        "INVITE sip:x SIP/2.0\r\nContent-Type: multipart/mixed;boundary=--\r\n\r\n{}",
        "----\r\nContent-Type: multipart/mixed;boundary=--\r\n\r\n".repeat(100_000)
    );
    let start = Instant::now();
    read_all(parts.into_bytes());
    assert!(start.elapsed() < Duration::from_secs(20));
}
