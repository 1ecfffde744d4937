//! Session descriptions in a word: offer or answer (RFC 3264), first codec, hold, fax.

use crate::analysis::CallView;
use crate::report::{escape, style::shorten};
use crate::session::MessageNo;
use crate::sip::{Direction, Facts, Media, Method, Sdp};
use serde::Serialize;
use std::collections::HashMap;

/// Columns of the words.
const ROOM: usize = 24;
/// Media that are named; conferences have dozens.
const NAMED: usize = 3;

/// The session description of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Session {
    /// What it is in the negotiation.
    pub role: Role,
    /// "PCMU", "opus + video", "hold", "fax".
    pub words: String,
}

/// What a session description is in the negotiation (RFC 3264 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Proposes.
    Offer,
    /// Agrees.
    Answer,
}

/// Whether a description is offer or answer: by the messages of its exchange alone (RFC 6337 2).
#[derive(Default)]
pub(super) struct Negotiation {
    /// By exchange, whether its request came with an offer.
    offered: HashMap<usize, bool>,
    /// Of the last INVITE, which a PRACK answers.
    invite_offered: bool,
    /// By sender (Call-ID and tag), whether it had media on hold.
    held: HashMap<(Vec<u8>, Vec<u8>), bool>,
}

impl Negotiation {
    /// The description of message `no`, which belongs to `exchange`.
    pub(super) fn next(&mut self, view: CallView<'_>, no: MessageNo, exchange: usize) -> Option<Session> {
        let message = view.sip(no);
        let described = message.has(Facts::SDP);
        let method = message.method();
        if message.is_request() && !matches!(method, Method::Ack | Method::Cancel) {
            self.offered.insert(exchange, described);
            if method == Method::Invite {
                self.invite_offered = described;
            }
        }
        let sdp = message.sdp().filter(|_| described)?;
        let offered = self.offered.get(&exchange).copied();
        let role = match (message.is_request(), method) {
            (true, Method::Ack) => Role::Answer,
            (true, Method::Prack) if !self.invite_offered => Role::Answer,
            (true, _) => Role::Offer,
            (false, Method::Prack) if !self.invite_offered => Role::Offer,
            (false, _) if offered == Some(false) => Role::Offer,
            (false, _) => Role::Answer,
        };
        let tag = if message.is_request() { message.from_tag() } else { message.to_tag() };
        let sender = (message.call_id().to_vec(), tag.to_vec());
        let words = words(&sdp, role, self.held.get(&sender).copied());
        if role == Role::Offer {
            self.held.insert(sender, is_held(&sdp));
        } else {
            self.held.entry(sender).or_insert(false);
        }
        Some(Session { role, words })
    }
}

/// Whether media is stopped: RFC 3264 8.4, and 0.0.0.0 of RFC 2543.
fn is_held(sdp: &Sdp<'_>) -> bool {
    let mut audio = sdp.media.iter().filter(|media| media.port != 0 && media.kind == b"audio").peekable();
    audio.peek().is_some()
        && audio.all(|media| {
            matches!(media.direction, Direction::SendOnly | Direction::Inactive)
                || media.connection.is_some_and(|address| address == b"0.0.0.0")
        })
}

/// `before`: whether its sender had media on hold before; `None` for its first description.
fn words(sdp: &Sdp<'_>, role: Role, before: Option<bool>) -> String {
    let mut told = content(sdp);
    let direction = sdp.media.iter().find(|media| media.port != 0).map_or(sdp.direction, |media| media.direction);
    let held = is_held(sdp);
    let state = match (role, before, direction) {
        (Role::Offer, Some(_), _) if held => "hold",
        (Role::Offer, Some(true), _) => "resume",
        (_, _, Direction::SendRecv) => "",
        (_, _, Direction::SendOnly) => "sendonly",
        (_, _, Direction::RecvOnly) => "recvonly",
        (_, _, Direction::Inactive) => "inactive",
    };
    if !state.is_empty() {
        told = format!("{state} {told}");
    }
    shorten(&told, ROOM, "…")
}

/// What the media are: the first codec of audio, else their kind.
pub(super) fn content(sdp: &Sdp<'_>) -> String {
    let mut told: Vec<String> = Vec::new();
    for media in sdp.media.iter().filter(|media| media.port != 0) {
        let name = name(media);
        if !told.contains(&name) && told.len() < NAMED {
            told.push(name);
        }
    }
    if told.is_empty() { "no media".to_owned() } else { told.join(" + ") }
}

fn name(media: &Media<'_>) -> String {
    match media.kind {
        b"audio" => codec(media),
        b"image" => "fax".to_owned(),
        kind => shorten(&escape::bytes(kind), ROOM / 2, "…"),
    }
}

/// The encoding of the first format; those without rtpmap by RFC 3551 6.
fn codec(media: &Media<'_>) -> String {
    let first = media.formats.split(|byte| *byte == b' ').next().unwrap_or_default();
    let number = std::str::from_utf8(first).ok().and_then(|text| text.parse::<u8>().ok());
    let mapped = media.rtpmaps.iter().find(|map| Some(map.payload) == number);
    let known = match number {
        Some(0) => "PCMU",
        Some(3) => "GSM",
        Some(4) => "G723",
        Some(8) => "PCMA",
        Some(9) => "G722",
        Some(15) => "G728",
        Some(18) => "G729",
        _ => "audio",
    };
    mapped.map_or_else(|| known.to_owned(), |map| shorten(&escape::bytes(map.name), ROOM / 2, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str, role: Role, before: Option<bool>) -> String {
        words(&Sdp::parse(body.replace('\n', "\r\n").as_bytes()), role, before)
    }

    #[test]
    fn the_first_codec_names_audio_and_other_media_their_kind() {
        assert_eq!(told("m=audio 4000 RTP/AVP 8 0\n", Role::Offer, None), "PCMA");
        let video = "m=audio 4000 RTP/AVP 96 0\na=rtpmap:96 opus/48000/2\nm=video 4002 RTP/AVP 97\n";
        assert_eq!(told(video, Role::Answer, None), "opus + video");
        assert_eq!(told("m=audio 0 RTP/AVP 0\nm=image 5000 udptl t38\n", Role::Offer, None), "fax");
        assert_eq!(told("m=audio 0 RTP/AVP 0\n", Role::Answer, None), "no media");
    }

    #[test]
    fn hold_is_told_from_a_first_one_way_offer_and_from_its_end() {
        let sendonly = "m=audio 4000 RTP/AVP 0\na=sendonly\n";
        assert_eq!(told(sendonly, Role::Offer, None), "sendonly PCMU");
        assert_eq!(told(sendonly, Role::Offer, Some(false)), "hold PCMU");
        assert_eq!(told("m=audio 4000 RTP/AVP 0\n", Role::Offer, Some(true)), "resume PCMU");
        assert_eq!(told("c=IN IP4 0.0.0.0\nm=audio 4000 RTP/AVP 0\n", Role::Offer, Some(false)), "hold PCMU");
    }
}
