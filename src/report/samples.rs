//! The same few reports for the tests of every format: real captures, findings made by hand, so that the
//! words of a rule can change without changing what is tested here.

use super::{Report, Selection};
use crate::analysis::{Analysis, Analyzer, Options};
use crate::base::{Batch, Idx, LinkType, PacketMeta, Timestamp};
use crate::capture::{self, CaptureInfo, More};
use crate::flow::{Cause, FlowMatch, Missing};
use crate::rules::{Finding, Meta, MissingMessage, Severity};
use crate::session::MessageNo;
use bytes::Bytes;
use std::path::PathBuf;

/// What a report is made of.
pub(super) struct Sample {
    captures: Vec<CaptureInfo>,
    pub(super) analysis: Analysis,
    flows: Vec<FlowMatch>,
    pub(super) findings: Vec<Finding>,
}

impl Sample {
    pub(super) fn report(&self) -> Report<'_> {
        self.report_on(Selection::default())
    }

    pub(super) fn report_on(&self, selection: Selection) -> Report<'_> {
        Report::new(&self.captures, &self.analysis, &self.flows, &self.findings, selection)
    }
}

static ACK_MISSING: Meta = Meta {
    code: "I01",
    name: "ack-missing",
    severity: Severity::Error,
    title: "no ACK to a 2xx",
    basis: &["RFC 3261 13.2.2.4"],
    page: "",
};
static REFUSED: Meta = Meta {
    code: "A04",
    name: "credentials-refused",
    severity: Severity::Error,
    title: "credentials refused",
    basis: &["RFC 3261 22.1"],
    page: "",
};
static RETRANSMITTED: Meta = Meta {
    code: "T05",
    name: "retransmitted",
    severity: Severity::Info,
    title: "sent several times",
    basis: &["RFC 3261 17"],
    page: "",
};

/// An answered call whose 200 is sent again and again, because no ACK comes.
pub(super) fn ack_never() -> Sample {
    let mut sample = read("b10-ack-never-200-retransmitted");
    let (caller, callee, ok) = (Idx::new(0), Idx::new(1), MessageNo::new(2));
    sample.flows = vec![FlowMatch {
        flow: Some("bcp75/3.1"),
        title: "Successful Session",
        cost: 4,
        complete: false,
        steps: vec![Some("F1"), Some("F2"), Some("F3"), None, None, None, None],
        missing: vec![Missing {
            step: "F4".to_owned(),
            what: "ACK".to_owned(),
            from: caller,
            to: callee,
            after: Some(ok),
            cause: Cause::NotSent,
            evidence: "the 200 was sent 5 times".to_owned(),
        }],
        unexpected: Vec::new(),
        special: None,
    }];
    let owed = MissingMessage { what: "ACK".to_owned(), from: caller, to: callee, after: ok };
    let numbers = (2..7).map(MessageNo::new).collect();
    sample.find(
        Finding::new(&ACK_MISSING, numbers, "Nobody confirmed the answer.", "The caller owes an ACK.")
            .missing(owed)
            .cause(Cause::NotSent),
    );
    sample.find(Finding::new(&RETRANSMITTED, vec![ok], "200 OK was sent 5 times.", "It repeats until an ACK comes."));
    sample
}

/// Two registrations with a wrong password.
pub(super) fn wrong_password() -> Sample {
    let mut sample = read("a05-register-wrong-password");
    sample.flows = (0..2)
        .map(|_| FlowMatch {
            flow: Some("bcp75/2.5"),
            title: "Unsuccessful Registration",
            complete: true,
            steps: vec![Some("F1"), Some("F2"), Some("F3"), Some("F4")],
            ..FlowMatch::default()
        })
        .collect();
    for call in 0..2 {
        let numbers = vec![MessageNo::new(3), MessageNo::new(2)];
        let mut finding =
            Finding::new(&REFUSED, numbers, "The registrar refused the password.", "The second 401 is no stale nonce.");
        finding.call = Some(call);
        sample.find(finding);
    }
    sample
}

/// A healthy call through two proxies.
pub(super) fn two_proxies() -> Sample {
    read("a11-session-two-proxies")
}

/// A call that a proxy sends to two phones, of which one answers.
pub(super) fn forked() -> Sample {
    read("b33-fork-one-answers")
}

/// Two offers that pass each other on the way.
pub(super) fn glare() -> Sample {
    read("b24-glare-491")
}

/// A call whose every value tries to steer the terminal.
pub(super) fn hostile() -> Sample {
    named("\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}")
}

/// A refused call whose every value is `evil`.
pub(super) fn named(evil: &str) -> Sample {
    let invite = format!(
        "INVITE sip:{evil}@b SIP/2.0\r\nVia: SIP/2.0/UDP {evil};branch=z9hG4bK{evil}\r\nFrom: \"{evil}\" <sip:{evil}@a>;tag={evil}\r\n\
         To: <sip:{evil}@b>\r\nCall-ID: {evil}\r\nCSeq: 1 INVITE\r\nSubject: {evil}\r\nContent-Length: {length}\r\n\r\n{evil}",
        length = evil.len()
    );
    let refusal = format!(
        "SIP/2.0 603 {evil}\r\nVia: SIP/2.0/UDP {evil};branch=z9hG4bK{evil}\r\nFrom: <sip:{evil}@a>;tag={evil}\r\n\
         To: <sip:{evil}@b>;tag=1\r\nCall-ID: {evil}\r\nCSeq: 1 INVITE\r\n\r\n"
    );
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let packets = [udp(a, b, invite.as_bytes()), udp(b, a, refusal.as_bytes())];
    let mut sample = from_packets(packets.into_iter().zip([0, 1_000_000]));
    let summary = format!("refused: {evil}");
    sample.find(Finding::new(&REFUSED, vec![MessageNo::new(1)], summary, format!("see {evil}")));
    sample
}

/// A response that the capture holds 140 microseconds before its request.
pub(super) fn swapped() -> Sample {
    let rest = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
                Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let (invite, trying) = (format!("INVITE sip:b@b SIP/2.0\r\n{rest}"), format!("SIP/2.0 100 Trying\r\n{rest}"));
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let packets = [udp(b, a, trying.as_bytes()), udp(a, b, invite.as_bytes())];
    from_packets(packets.into_iter().zip([0, 140_000]))
}

/// An OPTIONS on each of so many days.
#[cfg(feature = "parquet")]
pub(super) fn spread_over_days(days: usize) -> Sample {
    const DAY: i64 = 86_400_000_000_000;
    let packet = |day: usize| {
        let text = format!(
            "OPTIONS sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{day}\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
             Call-ID: {day}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        (udp([192, 0, 2, 1], [192, 0, 2, 2], text.as_bytes()), day as i64 * DAY)
    };
    from_packets((0..days).map(packet))
}

/// The analysis of raw IP packets at these nanoseconds.
fn from_packets(packets: impl Iterator<Item = (Vec<u8>, i64)>) -> Sample {
    let mut analyzer = Analyzer::new(Options::default());
    for (at, (packet, nanos)) in packets.enumerate() {
        let meta = PacketMeta {
            frame: at as u32 + 1,
            time: Timestamp::from_nanos(nanos),
            buffer: 0,
            offset: 0,
            captured: packet.len() as u32,
            original: packet.len() as u32,
            link: LinkType(101),
            interface: 0,
        };
        analyzer.push(&Batch { buffers: vec![Bytes::from(packet)], packets: vec![meta] });
    }
    let analysis = analyzer.finish();
    let flows = vec![FlowMatch::default(); analysis.calls.len()];
    Sample { captures: Vec::new(), analysis, flows, findings: Vec::new() }
}

fn udp(src: [u8; 4], dst: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let lengths = [(28 + payload.len() as u16).to_be_bytes(), (8 + payload.len() as u16).to_be_bytes()];
    let ports = [19, 196, 19, 196];
    let head = [&[0x45, 0], &lengths[0][..], &[0, 1, 0, 0, 64, 17, 0, 0], &src, &dst].concat();
    [&head[..], &ports, &lengths[1], &[0, 0], payload].concat()
}

impl Sample {
    /// Adds a finding, in the first call unless it says another.
    fn find(&mut self, mut finding: Finding) {
        let call = *finding.call.get_or_insert(0);
        let view = self.analysis.view(call);
        finding.frames = finding.messages.iter().map(|no| view.frame(*no)).collect();
        self.findings.push(finding);
    }
}

/// A capture of testdata without flows and findings.
fn read(name: &str) -> Sample {
    let path = format!("testdata/captures/{name}.pcap");
    let mut source = capture::open(&[PathBuf::from(path)]).source;
    let mut analyzer = Analyzer::new(Options::default());
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() == More::More {
        analyzer.push(&batch);
    }
    let analysis = analyzer.finish();
    let flows = vec![FlowMatch::default(); analysis.calls.len()];
    Sample { captures: source.captures().to_vec(), analysis, flows, findings: Vec::new() }
}
