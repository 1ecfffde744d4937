//! The messages of RFC 3665 as captures: testdata/flows/bcp75.tsv.

use bytes::Bytes;
use callflow::analysis::{AddressPair, Analysis, Stats};
use callflow::base::{Connection, Endpoint, Frames, Idx, Timestamp, Transport};
use callflow::call::build;
use callflow::flow::{BCP75, FlowMatch, match_call};
use callflow::session::{Seen, Sending};
use callflow::sip::Message;
use std::fmt::Write as _;

/// One line of testdata/flows/bcp75.tsv.
#[derive(Clone)]
pub(crate) struct Printed {
    pub(crate) section: &'static str,
    pub(crate) label: &'static str,
    pub(crate) ms: i64,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) text: String,
    pub(crate) transport: Transport,
    pub(crate) required: bool,
    pub(crate) repeats: &'static str,
}

pub(crate) fn printed() -> Vec<Printed> {
    let table = include_str!("../../../testdata/flows/bcp75.tsv");
    table.lines().skip(2).map(|line| printed_line(&line.split('\t').collect::<Vec<_>>())).collect()
}

pub(crate) fn printed_line(field: &[&'static str]) -> Printed {
    Printed {
        section: field[0],
        label: field[1],
        ms: field[2].parse().unwrap(),
        from: field[3],
        to: field[4],
        text: text(field),
        transport: match field[8] {
            "UDP" => Transport::Udp,
            "TCP" => Transport::Tcp,
            _ => Transport::Tls,
        },
        required: field[16] == "required",
        repeats: field[17],
    }
}

/// The message with as much of it as flows look at.
pub(crate) fn text(field: &[&str]) -> String {
    let mut text = match field[5].parse::<u16>() {
        Ok(status) => format!("SIP/2.0 {status} Reason\r\n"),
        Err(_) => format!("{} sip:bob@biloxi.example.com SIP/2.0\r\n", field[5]),
    };
    for via in field[9].split(',') {
        let host = via.split('.').next().unwrap();
        write!(text, "Via: SIP/2.0/{} {host}.example.com;branch=z9hG4bK-{via}\r\n", field[8]).unwrap();
    }
    let tag = |tag: &str| {
        if tag == "-" { String::new() } else { format!(";tag={tag}") }
    };
    write!(text, "From: <sip:a@example.com>{}\r\nTo: <sip:b@example.com>{}\r\n", tag(field[10]), tag(field[11]))
        .unwrap();
    write!(text, "Call-ID: {}@{}\r\nCSeq: {}\r\n", field[7], field[0], field[6]).unwrap();
    for auth in field[12].split(',').filter(|auth| *auth != "-") {
        let parts: Vec<&str> = auth.split([':', '/']).collect();
        let name = match (parts[0], parts[1]) {
            ("challenge", "proxy") => "Proxy-Authenticate",
            ("challenge", _) => "WWW-Authenticate",
            (_, "proxy") => "Proxy-Authorization",
            _ => "Authorization",
        };
        write!(text, "{name}: Digest realm=\"{}\", nonce=\"{}\"\r\n", parts[2], parts[3]).unwrap();
    }
    for contact in field[14].split(',').filter(|contact| *contact != "-") {
        let contact = if contact == "*" { "*".to_owned() } else { format!("<sip:{}>", contact.replace(':', ".")) };
        write!(text, "Contact: {contact}\r\n").unwrap();
        if contact == "*" {
            text.push_str("Expires: 0\r\n");
        }
    }
    for route in field[15].split(',').filter(|route| *route != "-") {
        write!(text, "Record-Route: <sip:{route};lr>\r\n").unwrap();
    }
    let body = field[13].split_once(':').map_or(String::new(), |(address, port)| {
        format!("v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n")
    });
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    text
}

pub(crate) fn seen(at: usize, message: &Printed) -> Seen {
    let endpoint = |ip: &str| Endpoint { ip: ip.parse().unwrap(), port: 5060 };
    Seen {
        message: Message::parse(Bytes::from(message.text.clone())),
        frames: Frames::one(at as u32 + 1),
        time: Timestamp::from_nanos(message.ms * 1_000_000),
        connection: Connection { src: endpoint(message.from), dst: endpoint(message.to), transport: message.transport },
        sending: Sending::Packet(at as u16 + 1),
        wrapped: 0,
        interface: 0,
        unseen_at: None,
    }
}

/// A capture that holds one call and goes on for a minute.
pub(crate) fn analysis(messages: &[Printed]) -> Analysis {
    let seen: Vec<Seen> = messages.iter().enumerate().map(|(at, message)| seen(at, message)).collect();
    let members: Vec<Idx<Seen>> = (0..seen.len()).map(Idx::new).collect();
    let last = Timestamp::from_nanos((messages.last().unwrap().ms + 60_000) * 1_000_000);
    let call = build(&seen, &members, last);
    let mut stats = Stats::default();
    for Seen { connection: Connection { src, dst, .. }, .. } in &seen {
        let pair = AddressPair { low: src.ip.min(dst.ip), high: src.ip.max(dst.ip) };
        // Other traffic between the two shows that the capture sees both directions.
        stats.directions.insert(pair, [1, 1]);
    }
    Analysis {
        first: seen.first().map(|seen| seen.time),
        last: Some(last),
        calls: vec![call],
        seen,
        stats,
        ..Analysis::default()
    }
}

pub(crate) fn compare(messages: &[Printed]) -> FlowMatch {
    match_call(analysis(messages).view(0))
}

pub(crate) fn section(section: &str) -> Vec<Printed> {
    printed().into_iter().filter(|message| message.section == section).collect()
}

pub(crate) fn sections() -> impl Iterator<Item = &'static str> {
    BCP75.iter().map(|(name, _)| &name["bcp75/".len()..])
}
