//! The `.trace` text: a capture that people can read, write and review.
//!
//! ```text
//! # a comment; `# expect: ...` lines are read by the test that walks over the rule cases
//! @0.000 udp 192.0.2.1:5060 > 192.0.2.2:5060
//! OPTIONS sip:bob@192.0.2.2 SIP/2.0
//! Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
//! Content-Length: auto
//!
//! the body, if any
//! @40.000 end
//! ```
//! After `>` and the receiver may come `id=N` (IP identification; else counting up), `iface=N`
//! (observation point) and `cut=N` (only the first N bytes of the frame were captured).
//! A `tcp` packet may end with `fin`, or be an `rst` instead; `refused` is a SYN and its RST.
//! `ip N 192.0.2.1 > 192.0.2.2` is a packet of IP protocol N; its lines are the payload in hex.
//! `end` is a packet that is no SIP: it says how long the capture goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// One packet of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the start of the trace.
    pub time: Duration,
    pub what: What,
    pub ip_id: Option<u16>,
    pub interface: u32,
    pub cut: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Udp { src: SocketAddr, dst: SocketAddr, payload: Vec<u8> },
    Tcp { src: SocketAddr, dst: SocketAddr, payload: Vec<u8>, end: Option<End> },
    Ip { protocol: u8, src: Ipv4Addr, dst: Ipv4Addr, payload: Vec<u8> },
    End,
}

/// How a TCP packet ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Rst,
    Refused,
}

/// Reads a whole trace; the error names the line.
pub fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut events: Vec<Event> = Vec::new();
    let mut body: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(head) = line.strip_prefix('@') {
            close(&mut events, &mut body);
            events.push(event(head).map_err(|why| format!("line {}: {why}", number + 1))?);
        } else if !line.starts_with('#') && !events.is_empty() {
            body.push(line);
        }
    }
    close(&mut events, &mut body);
    Ok(events)
}

fn event(head: &str) -> Result<Event, String> {
    let words: Vec<&str> = head.split_whitespace().collect();
    let [time, rest @ ..] = words.as_slice() else {
        return Err("no time".into());
    };
    let time: f64 = time.parse().map_err(|_| format!("'{time}' is no time"))?;
    let time = Duration::try_from_secs_f64(time).map_err(|why| why.to_string())?;
    let (what, options) = match rest {
        ["ip", protocol, src, ">", dst, options @ ..] => {
            let number = protocol.parse().map_err(|_| format!("'{protocol}' is no IP protocol"))?;
            let host = |text: &str| text.parse::<Ipv4Addr>().map_err(|_| format!("'{text}' is no IPv4 address"));
            (What::Ip { protocol: number, src: host(src)?, dst: host(dst)?, payload: Vec::new() }, options)
        }
        ["end", options @ ..] => (What::End, options),
        ["udp", src, ">", dst, options @ ..] => {
            (What::Udp { src: address(src)?, dst: address(dst)?, payload: Vec::new() }, options)
        }
        ["tcp", src, ">", dst, options @ ..] => {
            let (end, options) = match options {
                [options @ .., "fin"] => (Some(End::Fin), options),
                [options @ .., "rst"] => (Some(End::Rst), options),
                [options @ .., "refused"] => (Some(End::Refused), options),
                options => (None, options),
            };
            (What::Tcp { src: address(src)?, dst: address(dst)?, payload: Vec::new(), end }, options)
        }
        _ => return Err("expected 'udp|tcp SRC > DST' or 'end'".into()),
    };
    let mut event = Event { time, what, ip_id: None, interface: 0, cut: None };
    for option in options {
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("'{option}' is no number"));
        match option.split_once('=') {
            Some(("id", value)) => event.ip_id = Some(number(value)? as u16),
            Some(("iface", value)) => event.interface = number(value)?,
            Some(("cut", value)) => event.cut = Some(number(value)?),
            _ => return Err(format!("unknown option '{option}'")),
        }
    }
    Ok(event)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address with port"))
}

/// Gives the collected lines to the last event.
fn close(events: &mut [Event], lines: &mut Vec<&str>) {
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    match events.last_mut().map(|event| &mut event.what) {
        Some(What::Udp { payload, .. }) => *payload = message(lines),
        Some(What::Tcp { payload, end, .. }) => {
            *payload = if end.is_some() && lines.is_empty() { Vec::new() } else { message(lines) };
        }
        Some(What::Ip { payload, .. }) => *payload = hex(lines),
        Some(What::End) | None => {}
    }
    lines.clear();
}

/// Bytes written as hex digits; anything else between them does not count.
fn hex(lines: &[&str]) -> Vec<u8> {
    let digits: Vec<u8> = lines.concat().chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Header lines, the empty line, the body; `Content-Length: auto` becomes the size of the body.
fn message(lines: &[&str]) -> Vec<u8> {
    let split = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let body = crlf(lines[split..].iter().skip(1).copied());
    let length = format!("Content-Length: {}", body.len());
    let head = lines[..split].iter().map(|line| if *line == "Content-Length: auto" { &length } else { *line });
    format!("{}\r\n{body}", crlf(head)).into_bytes()
}

/// The lines, each ended as SIP ends them.
fn crlf<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\r\n"]).collect()
}

#[test]
fn content_length_is_filled_in() {
    let text = "@0 udp 192.0.2.1:5060 > 192.0.2.2:5060\nA\nContent-Length: auto\n\nv=0\ns=-\n\n@1 end\n";
    let events = parse(text).unwrap();
    let What::Udp { payload, .. } = &events[0].what else { panic!("no UDP") };
    assert_eq!(std::str::from_utf8(payload).unwrap(), "A\r\nContent-Length: 10\r\n\r\nv=0\r\ns=-\r\n");
    assert_eq!(events[1].what, What::End);
}

#[test]
fn a_mistake_names_its_line() {
    assert_eq!(
        parse("# x\n@0 udp 192.0.2.1 > 192.0.2.2:5060").unwrap_err(),
        "line 2: '192.0.2.1' is no address with port"
    );
}
