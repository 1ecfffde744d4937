//! Legs of calls through back-to-back user agents, as `.trace` text.

use std::fmt::Write as _;

/// One leg: an INVITE with its answer, between two hosts that see nobody else of it.
#[derive(Clone, Debug)]
pub struct Leg {
    pub id: String,
    pub client: &'static str,
    pub server: &'static str,
    pub from: String,
    pub to: String,
    /// Header lines of the INVITE, and of its 18x and 200.
    pub extra: Vec<String>,
    pub answer_extra: Vec<String>,
    /// SDP origin and media address of the caller's side: host and port.
    pub media: (&'static str, u16),
}

/// Messages with their times, in any order.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<(f64, String)>);

impl Leg {
    pub fn new(id: &str, client: &'static str, server: &'static str, from: &str, to: &str) -> Self {
        Self {
            id: id.to_owned(),
            client,
            server,
            from: from.to_owned(),
            to: to.to_owned(),
            extra: Vec::new(),
            answer_extra: Vec::new(),
            media: (host(client), 40_000),
        }
    }

    pub fn with(mut self, header: impl Into<String>) -> Self {
        self.extra.push(header.into());
        self
    }

    pub fn answers_with(mut self, header: impl Into<String>) -> Self {
        self.answer_extra.push(header.into());
        self
    }

    pub fn media(mut self, host: &'static str, port: u16) -> Self {
        self.media = (host, port);
        self
    }

    /// A request of the caller, or of the callee; `cseq` tells its branch.
    fn request(
        &self,
        method: &str,
        cseq: u32,
        by_caller: bool,
        in_dialog: bool,
        extra: &[String],
        sdp: bool,
    ) -> String {
        let (client, server) = if by_caller { (self.client, self.server) } else { (self.server, self.client) };
        let (from, to) = if by_caller { (&self.from, &self.to) } else { (&self.to, &self.from) };
        let (from_tag, to_tag) = if by_caller { ("a", "b") } else { ("b", "a") };
        let to_tag = if in_dialog { format!(";tag={to_tag}-{}", self.id) } else { String::new() };
        let branch = format!("z9hG4bK-{}-{method}-{cseq}", self.id.replace('@', "."));
        let mut text = format!(
            "udp {client} > {server}\n{method} sip:{to}@{server} SIP/2.0\nVia: SIP/2.0/UDP {client};branch={branch}\n\
             Max-Forwards: 70\nFrom: <sip:{from}@example.com>;tag={from_tag}-{}\nTo: <sip:{to}@example.com>{to_tag}\n\
             Call-ID: {}\nCSeq: {cseq} {method}\n",
            self.id, self.id
        );
        if !matches!(method, "BYE" | "ACK" | "CANCEL") {
            let _ = writeln!(text, "Contact: <sip:{from}@{client}>");
        }
        Self::end(&mut text, extra, sdp.then_some(self.media));
        text
    }

    fn response(&self, status: &str, method: &str, cseq: u32, by_caller: bool, tag: bool, sdp: bool) -> String {
        let (client, server) = if by_caller { (self.server, self.client) } else { (self.client, self.server) };
        let (from, to) = if by_caller { (&self.to, &self.from) } else { (&self.from, &self.to) };
        let (from_tag, to_tag) = if by_caller { ("b", "a") } else { ("a", "b") };
        let to_tag = if tag { format!(";tag={to_tag}-{}", self.id) } else { String::new() };
        let branch = format!("z9hG4bK-{}-{method}-{cseq}", self.id.replace('@', "."));
        let mut text = format!(
            "udp {server} > {client}\nSIP/2.0 {status}\nVia: SIP/2.0/UDP {client};branch={branch}\n\
             From: <sip:{from}@example.com>;tag={from_tag}-{}\nTo: <sip:{to}@example.com>{to_tag}\nCall-ID: {}\nCSeq: {cseq} {method}\n",
            self.id, self.id
        );
        if method == "INVITE" && (status.starts_with("18") || status.starts_with('2')) {
            let _ = writeln!(text, "Contact: <sip:{to}@{server}>");
        }
        let extra = if method == "INVITE" && tag { self.answer_extra.as_slice() } else { &[] };
        Self::end(&mut text, extra, sdp.then(|| (host(self.server), 50_000)));
        text
    }

    fn end(text: &mut String, extra: &[String], media: Option<(&str, u16)>) {
        for line in extra {
            let _ = writeln!(text, "{line}");
        }
        if let Some((host, port)) = media {
            let _ = write!(
                text,
                "Content-Type: application/sdp\nContent-Length: auto\n\nv=0\no=- {port} 1 IN IP4 {host}\ns=-\nc=IN IP4 {host}\n\
                 t=0 0\nm=audio {port} RTP/AVP 0\n"
            );
        } else {
            text.push_str("Content-Length: auto\n");
        }
    }
}

impl Script {
    fn add(&mut self, at: f64, text: String) -> &mut Self {
        self.0.push((at, text));
        self
    }

    pub fn invite(&mut self, leg: &Leg, at: f64) -> &mut Self {
        self.add(at, leg.request("INVITE", 1, true, false, &leg.extra, true));
        self.add(at + 0.001, leg.response("100 Trying", "INVITE", 1, false, false, false))
    }

    pub fn ring(&mut self, leg: &Leg, at: f64) -> &mut Self {
        self.add(at, leg.response("180 Ringing", "INVITE", 1, false, true, false))
    }

    pub fn answer(&mut self, leg: &Leg, at: f64) -> &mut Self {
        self.unacknowledged(leg, at);
        self.add(at + 0.002, leg.request("ACK", 1, true, true, &[], false))
    }

    pub fn unacknowledged(&mut self, leg: &Leg, at: f64) -> &mut Self {
        self.add(at, leg.response("200 OK", "INVITE", 1, false, true, true))
    }

    pub fn refuse_unacknowledged(&mut self, leg: &Leg, at: f64, status: &str) -> &mut Self {
        self.add(at, leg.response(status, "INVITE", 1, false, true, false))
    }

    pub fn refuse(&mut self, leg: &Leg, at: f64, status: &str) -> &mut Self {
        self.refuse_unacknowledged(leg, at, status);
        let ack = leg.request("ACK", 1, true, true, &[], false);
        self.add(at + 0.001, ack.replace("-ACK-", "-INVITE-"))
    }

    /// CANCEL, its 200, and the 487 of the INVITE with its ACK.
    pub fn cancel(&mut self, leg: &Leg, at: f64) -> &mut Self {
        let of_invite = |text: String| text.replace("-CANCEL-", "-INVITE-");
        self.add(at, of_invite(leg.request("CANCEL", 1, true, false, &[], false)));
        self.add(at + 0.001, of_invite(leg.response("200 OK", "CANCEL", 1, false, true, false)));
        self.refuse(leg, at + 0.002, "487 Request Terminated")
    }

    pub fn bye(&mut self, leg: &Leg, at: f64, by_caller: bool) -> &mut Self {
        self.add(at, leg.request("BYE", 2, by_caller, true, &[], false));
        self.add(at + 0.001, leg.response("200 OK", "BYE", 2, !by_caller, true, false))
    }

    /// A REFER with its 202 and the NOTIFY that ends the subscription.
    pub fn refer(&mut self, leg: &Leg, at: f64, by_caller: bool, refer_to: &str) -> &mut Self {
        let by = if by_caller { &leg.from } else { &leg.to };
        let extra = [format!("Refer-To: <{refer_to}>"), format!("Referred-By: <sip:{by}@example.com>")];
        self.add(at, leg.request("REFER", 3, by_caller, true, &extra, false));
        self.add(at + 0.001, leg.response("202 Accepted", "REFER", 3, !by_caller, true, false));
        let notify = ["Event: refer".to_owned(), "Subscription-State: terminated;reason=noresource".to_owned()];
        self.add(at + 0.9, leg.request("NOTIFY", 4, !by_caller, true, &notify, false));
        self.add(at + 0.901, leg.response("200 OK", "NOTIFY", 4, by_caller, true, false))
    }

    /// The whole of a call through an element that takes 3 ms to pass anything on.
    pub fn bridged(&mut self, a: &Leg, b: &Leg, at: f64, rings: f64, talks: f64) -> &mut Self {
        self.invite(a, at).invite(b, at + 0.01);
        self.ring(b, at + 0.1).ring(a, at + 0.103);
        self.answer(b, at + rings).answer(a, at + rings + 0.003);
        self.bye(a, at + rings + talks, true).bye(b, at + rings + talks + 0.003, true)
    }

    /// Without the callers' legs, `N-in`, of some calls.
    pub fn without(&self, unseen: impl Fn(u32) -> bool) -> Self {
        let number = |text: &str| text.split("Call-ID: ").nth(1)?.split_once("-in\n")?.0.parse().ok();
        let is_seen = |text: &str| number(text).is_none_or(|number| !unseen(number));
        Self(self.0.iter().filter(|(_, text)| is_seen(text)).cloned().collect())
    }

    /// The trace, and a packet long after it.
    pub fn trace(&self) -> String {
        let mut all = self.0.clone();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let last = all.last().map_or(0.0, |(at, _)| *at);
        let mut text = String::new();
        for (at, message) in all {
            let _ = writeln!(text, "@{at:.6} {message}");
        }
        let _ = writeln!(text, "@{:.6} end", last + 40.0);
        text
    }
}

fn host(address: &'static str) -> &'static str {
    address.split(':').next().unwrap_or(address)
}
