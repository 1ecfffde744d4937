//! Twice the input takes about twice the work, whatever a flood looks like: nothing in session, call, flow,
//! rules and report is quadratic in the messages of one call, its branches, tags, hosts or rounds.
//!
//! What is measured is the processor time of one thread that does it all: a busy machine does not change it.

use crate::support;
use callflow::base::{Batch, LinkType, PacketMeta};
use callflow::report::{FORMATS, Report, Selection, Style, draw, ladder::Ladder};
use etherparse::PacketBuilder;
use std::time::Duration;

const CALLER: [u8; 4] = [10, 0, 0, 1];
const CALLEE: [u8; 4] = [10, 0, 0, 2];

/// The parts of a message that floods vary.
struct Sip {
    start: String,
    branch: usize,
    from_tag: usize,
    to_tag: Option<usize>,
    call_id: usize,
    cseq: usize,
    method: &'static str,
    more: String,
}

fn request(method: &'static str) -> Sip {
    Sip {
        start: format!("{method} sip:bob@10.0.0.2 SIP/2.0"),
        branch: 0,
        from_tag: 0,
        to_tag: None,
        call_id: 0,
        cseq: 1,
        method,
        more: String::new(),
    }
}

fn response(status: &str, method: &'static str) -> Sip {
    Sip { start: format!("SIP/2.0 {status}"), to_tag: Some(0), ..request(method) }
}

#[derive(Default)]
struct Capture {
    bytes: Vec<u8>,
    packets: Vec<PacketMeta>,
}

impl Capture {
    fn add(&mut self, src: [u8; 4], dst: [u8; 4], sip: &Sip) {
        let to_tag = sip.to_tag.map(|tag| format!(";tag=t{tag}")).unwrap_or_default();
        let text = format!(
            "{}\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{}\r\nMax-Forwards: 70\r\nFrom: <sip:alice@10.0.0.1>;tag=f{}\r\n\
             To: <sip:bob@10.0.0.2>{to_tag}\r\nCall-ID: c{}\r\nCSeq: {} {}\r\nContact: <sip:x@10.0.0.1:5060>\r\n{}Content-Length: 0\r\n\r\n",
            sip.start, sip.branch, sip.from_tag, sip.call_id, sip.cseq, sip.method, sip.more
        );
        let offset = self.bytes.len();
        PacketBuilder::ipv4(src, dst, 64).udp(5060, 5060).write(&mut self.bytes, text.as_bytes()).unwrap();
        let len = (self.bytes.len() - offset) as u32;
        let at = self.packets.len() as u32;
        self.packets.push(PacketMeta {
            frame: at + 1,
            time: support::packets::START.after(Duration::from_millis(u64::from(at) * 50)),
            buffer: 0,
            offset: offset as u64,
            captured: len,
            original: len,
            link: LinkType(101),
            interface: 0,
        });
    }

    fn batch(self) -> Batch {
        Batch { buffers: vec![self.bytes.into()], packets: self.packets }
    }
}

/// One message of a flood: what is sent as number `i`, and whether by the caller.
type Flood = fn(&mut Capture, usize);

const FLOODS: &[(&str, Flood)] = &[
    ("branches", |capture, i| {
        capture.add(CALLER, CALLEE, &Sip { branch: i, ..request("INVITE") });
    }),
    ("one branch", |capture, _| {
        capture.add(CALLER, CALLEE, &request("INVITE"));
    }),
    ("From tags", |capture, i| {
        capture.add(CALLER, CALLEE, &Sip { branch: i, from_tag: i, ..request("INVITE") });
    }),
    ("To tags", |capture, i| {
        if i == 0 {
            capture.add(CALLER, CALLEE, &request("INVITE"));
        }
        capture.add(CALLEE, CALLER, &Sip { to_tag: Some(i), ..response("180 Ringing", "INVITE") });
    }),
    ("accepting To tags", |capture, i| {
        if i == 0 {
            capture.add(CALLER, CALLEE, &request("INVITE"));
        }
        capture.add(CALLEE, CALLER, &Sip { to_tag: Some(i), ..response("200 OK", "INVITE") });
    }),
    ("Call-IDs", |capture, i| {
        capture.add(CALLER, CALLEE, &Sip { branch: i, call_id: i, ..request("INVITE") });
    }),
    ("challenges", |capture, i| {
        let round = i / 2;
        let sip = if i % 2 == 0 { request("REGISTER") } else { response("401 Unauthorized", "REGISTER") };
        let more = match (i % 2, round) {
            (0, 0) => String::new(),
            (0, _) => format!(
                "Authorization: Digest username=\"a\",realm=\"r\",nonce=\"n{}\",uri=\"sip:b\",response=\"{round:032x}\"\r\n",
                round - 1
            ),
            _ => format!("WWW-Authenticate: Digest realm=\"r\",nonce=\"n{round}\"\r\n"),
        };
        let (src, dst) = if i % 2 == 0 { (CALLER, CALLEE) } else { (CALLEE, CALLER) };
        capture.add(src, dst, &Sip { branch: round, cseq: round + 1, more, ..sip });
    }),
    ("callers", |capture, i| {
        capture.add([10, 1, (i >> 8) as u8, i as u8], CALLEE, &Sip { branch: i, ..request("INVITE") });
    }),
    ("callees", |capture, i| {
        capture.add(CALLER, [10, 1, (i >> 8) as u8, i as u8], &Sip { branch: i, ..request("INVITE") });
    }),
    ("a chain of hosts", |capture, i| {
        let host = |i: usize| [10, 1, (i >> 8) as u8, i as u8];
        capture.add(host(i), host(i + 1), &Sip { branch: i, ..request("INVITE") });
    }),
    ("answers without request", |capture, i| {
        capture.add(CALLEE, CALLER, &Sip { branch: i, to_tag: Some(i), cseq: i + 1, ..response("200 OK", "INVITE") });
    }),
    ("forks left open", |capture, i| {
        let to_tag = Some(i / 3);
        match i % 3 {
            0 if i == 0 => capture.add(CALLER, CALLEE, &request("INVITE")),
            0 => capture.add(CALLEE, CALLER, &Sip { to_tag, ..response("200 OK", "INVITE") }),
            1 => capture.add(CALLER, CALLEE, &Sip { branch: i, to_tag, ..request("ACK") }),
            _ => capture.add(CALLER, CALLEE, &Sip { branch: i, to_tag, cseq: 2, ..request("BYE") }),
        }
    }),
    ("legs between the same numbers at one element", |capture, i| {
        const PBX: [u8; 4] = [10, 0, 0, 9];
        let (call, out) = (i / 4, i / 4 * 2 + 1);
        let came = Sip { branch: out - 1, call_id: 2 * call, ..request("INVITE") };
        let left = Sip { branch: out, call_id: out, ..request("INVITE") };
        match i % 4 {
            0 => capture.add(CALLER, PBX, &came),
            1 => capture.add(PBX, CALLEE, &left),
            2 => capture.add(CALLEE, PBX, &Sip { branch: out, call_id: out, ..response("180 Ringing", "INVITE") }),
            _ => capture.add(
                PBX,
                CALLER,
                &Sip { branch: out - 1, call_id: 2 * call, ..response("180 Ringing", "INVITE") },
            ),
        }
    }),
    ("legs that refer to the same target", |capture, i| {
        let (call_id, by) = (i / 2, "Refer-To: <sip:bob@10.0.0.2>\r\nReferred-By: <sip:alice@10.0.0.1>\r\n");
        let more = by.to_owned();
        if i % 2 == 0 {
            capture.add(CALLER, CALLEE, &Sip { branch: i, call_id, more, ..request("INVITE") });
        } else {
            capture.add(
                CALLER,
                CALLEE,
                &Sip { branch: i, call_id, more, cseq: 2, to_tag: Some(0), ..request("REFER") },
            );
        }
    }),
    ("legs that replace the one before", |capture, i| {
        let more = format!("Replaces: c{};to-tag=t0;from-tag=f0\r\nX-Call-ID: c{}-c\r\n", i.saturating_sub(1), i / 9);
        capture.add(CALLER, CALLEE, &Sip { branch: i, call_id: i, more, ..request("INVITE") });
    }),
    ("REFERs", |capture, i| {
        let more = format!("Refer-To: <sip:carol{i}@10.0.0.3>\r\n");
        if i == 0 {
            capture.add(CALLER, CALLEE, &request("INVITE"));
        }
        capture.add(CALLER, CALLEE, &Sip { branch: i, cseq: i + 2, to_tag: Some(0), more, ..request("REFER") });
    }),
    ("refusals without ACK", |capture, i| {
        let sip = if i % 2 == 0 { request("INVITE") } else { response("486 Busy Here", "INVITE") };
        let (src, dst) = if i % 2 == 0 { (CALLER, CALLEE) } else { (CALLEE, CALLER) };
        capture.add(src, dst, &Sip { branch: i / 2, cseq: i / 2 + 1, ..sip });
    }),
    ("answers without ACK", |capture, i| {
        let sip = if i % 2 == 0 { request("INVITE") } else { response("200 OK", "INVITE") };
        let (src, dst) = if i % 2 == 0 { (CALLER, CALLEE) } else { (CALLEE, CALLER) };
        let to_tag = sip.to_tag.map(|_| i / 2);
        capture.add(src, dst, &Sip { branch: i / 2, cseq: i / 2 + 1, to_tag, ..sip });
    }),
    ("subscriptions with one tag, and a full dialog", |capture, i| {
        let round = i / 4;
        match i % 4 {
            0 => capture.add(CALLER, CALLEE, &Sip { branch: i, cseq: i + 1, ..request("SUBSCRIBE") }),
            1 => capture.add(CALLEE, CALLER, &Sip { branch: i - 1, cseq: i, ..response("200 OK", "SUBSCRIBE") }),
            2 => capture.add(CALLER, CALLEE, &in_dialog(request("INFO"), 1_000_000 + round)),
            _ => capture.add(CALLEE, CALLER, &in_dialog(response("200 OK", "INFO"), 1_000_000 + round)),
        }
    }),
    ("reliable responses without PRACK", |capture, i| {
        if i == 0 {
            capture.add(CALLER, CALLEE, &request("INVITE"));
        }
        let more = format!("Require: 100rel\r\nRSeq: {}\r\n", i + 1);
        capture.add(CALLEE, CALLER, &Sip { more, ..response("183 Session Progress", "INVITE") });
    }),
];

/// Calls that never end.
const GIANTS: &[(&str, Flood)] = &[
    ("a dialog full of INFO", |capture, i| exchange(capture, i, "INFO")),
    ("a dialog full of OPTIONS", |capture, i| exchange(capture, i, "OPTIONS")),
    ("a dialog full of re-INVITEs", |capture, i| match i {
        0..4 => set_up(capture, i),
        _ if i % 3 == 1 => capture.add(CALLER, CALLEE, &in_dialog(request("INVITE"), i / 3)),
        _ if i % 3 == 2 => capture.add(CALLEE, CALLER, &in_dialog(response("200 OK", "INVITE"), i / 3)),
        _ => {
            let ack = in_dialog(request("ACK"), i / 3 - 1);
            capture.add(CALLER, CALLEE, &Sip { branch: 1_000_000 + i, ..ack });
        }
    }),
    ("one INVITE sent for ever", |capture, _| capture.add(CALLER, CALLEE, &request("INVITE"))),
    ("a thousand forks and their ends", |capture, i| {
        let (fork, to_tag) = (i / 4, Some(i / 4));
        match i % 4 {
            0 if fork % 1000 == 0 => {
                capture.add(CALLER, CALLEE, &Sip { branch: fork, cseq: fork + 1, ..request("INVITE") });
            }
            0 => {
                let first = fork - fork % 1000;
                capture.add(
                    CALLEE,
                    CALLER,
                    &Sip { branch: first, cseq: first + 1, to_tag, ..response("200 OK", "INVITE") },
                );
            }
            1 => {
                capture.add(CALLER, CALLEE, &Sip { branch: i, to_tag, cseq: fork - fork % 1000 + 1, ..request("ACK") });
            }
            2 => capture.add(CALLER, CALLEE, &Sip { branch: 1_000_000 + fork, to_tag, cseq: i + 2, ..request("BYE") }),
            _ => capture.add(
                CALLEE,
                CALLER,
                &Sip { branch: 1_000_000 + fork, to_tag, cseq: i + 1, ..response("200 OK", "BYE") },
            ),
        }
    }),
    ("tags that change with every transaction", |capture, i| {
        let sip = if i % 2 == 0 { request("MESSAGE") } else { response("200 OK", "MESSAGE") };
        let (src, dst) = if i % 2 == 0 { (CALLER, CALLEE) } else { (CALLEE, CALLER) };
        capture.add(src, dst, &Sip { branch: i / 2, from_tag: i / 2, to_tag: Some(i / 2), cseq: i / 2 + 1, ..sip });
    }),
];

fn in_dialog(sip: Sip, number: usize) -> Sip {
    Sip { to_tag: Some(0), branch: 10 + number, cseq: 10 + number, ..sip }
}

/// The first four messages of a call.
fn set_up(capture: &mut Capture, i: usize) {
    match i {
        0 => capture.add(CALLER, CALLEE, &request("INVITE")),
        1 => capture.add(CALLEE, CALLER, &response("180 Ringing", "INVITE")),
        2 => capture.add(CALLEE, CALLER, &response("200 OK", "INVITE")),
        _ => capture.add(CALLER, CALLEE, &Sip { branch: 1, to_tag: Some(0), ..request("ACK") }),
    }
}

/// A call, and exchanges in its dialog.
fn exchange(capture: &mut Capture, i: usize, method: &'static str) {
    match i {
        0..4 => set_up(capture, i),
        _ if i.is_multiple_of(2) => capture.add(CALLER, CALLEE, &in_dialog(request(method), i / 2)),
        _ => capture.add(CALLEE, CALLER, &in_dialog(response("200 OK", method), i / 2)),
    }
}

/// Processor time that everything up to the reports takes, and that something came out. `None` where the
/// system does not tell it.
fn work(capture: Capture) -> Option<Duration> {
    let messages = capture.packets.len();
    let batch = capture.batch();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one_thread.install(|| {
        let start = processor_time();
        let told = support::tell_batch(&batch);
        let report = Report::new(&[], &told.analysis, &told.flows, &told.findings, Selection::default());
        let mut out = Vec::new();
        let style = Style { width: 100, colour: false, ascii: false };
        for format in FORMATS {
            format.write(&report, style, &mut out).unwrap();
        }
        for view in report.calls() {
            draw::text(&Ladder::new(&report, view), style, 2, &mut out).unwrap();
        }
        assert!(told.analysis.seen.len() >= messages && out.len() > messages);
        Some(processor_time()?.saturating_sub(start?))
    })
}

/// Of this thread.
fn processor_time() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
}

fn flooded(flood: Flood, messages: usize) -> Capture {
    let mut capture = Capture::default();
    (0..messages).for_each(|i| flood(&mut capture, i));
    capture
}

/// `CALLFLOW_FLOOD`: the number of messages to measure with, instead of one that suits an ordinary run.
fn asked() -> Option<usize> {
    std::env::var("CALLFLOW_FLOOD").ok().and_then(|n| n.parse().ok())
}

/// Four times as many messages take not much more than four times as long (quadratic would be 16).
#[test]
fn floods_are_judged_in_linear_time() {
    for (name, flood) in FLOODS {
        let messages = asked().unwrap_or(1500);
        let few = work(flooded(*flood, messages));
        let many = work(flooded(*flood, messages * 4));
        eprintln!("{name}: {few:?} for {messages}, {many:?} for {}", messages * 4);
        if let (Some(few), Some(many)) = (few, many) {
            let ratio = many.as_secs_f64() / few.as_secs_f64().max(0.02);
            assert!(ratio < 8.0, "{name}: {ratio:.1} times");
        }
    }
}

/// A message of a call that never ends costs what a message of an ordinary call costs.
#[test]
fn a_message_of_a_giant_call_takes_no_longer_than_one_of_many_calls() {
    let messages = asked().unwrap_or(7000);
    let mut ordinary = Capture::default();
    (0..messages / 7).for_each(|call| call_of_seven(&mut ordinary, call));
    let Some(ordinary) = work(ordinary) else {
        return;
    };
    for (name, flood) in GIANTS {
        let giant = work(flooded(*flood, messages)).unwrap_or_default();
        let ratio = giant.as_secs_f64() / ordinary.as_secs_f64();
        eprintln!("{name}: {giant:?}, {ratio:.2} times {ordinary:?} of ordinary calls");
        assert!(ratio < 2.0, "{name}: {ratio:.2} times");
    }
}

/// INVITE, 180, 200, ACK, BYE, 200 and the 100 before them.
fn call_of_seven(capture: &mut Capture, call: usize) {
    let more = "Content-Type: application/sdp\r\n".to_owned();
    let part = |sip: Sip, step: usize, cseq: usize| Sip {
        branch: call * 4 + step,
        call_id: call,
        from_tag: call,
        cseq,
        ..sip
    };
    capture.add(CALLER, CALLEE, &Sip { more, ..part(request("INVITE"), 0, 1) });
    capture.add(CALLEE, CALLER, &part(Sip { to_tag: None, ..response("100 Trying", "INVITE") }, 0, 1));
    capture.add(CALLEE, CALLER, &part(response("180 Ringing", "INVITE"), 0, 1));
    capture.add(CALLEE, CALLER, &part(response("200 OK", "INVITE"), 0, 1));
    capture.add(CALLER, CALLEE, &part(Sip { to_tag: Some(0), ..request("ACK") }, 1, 1));
    capture.add(CALLER, CALLEE, &part(Sip { to_tag: Some(0), ..request("BYE") }, 2, 2));
    capture.add(CALLEE, CALLER, &part(response("200 OK", "BYE"), 2, 2));
}
