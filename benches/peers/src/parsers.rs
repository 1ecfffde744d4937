//! How each parser is asked for the same things.

use crate::Hot;
use crate::harness::Harness;
use crate::samples::INVITE;
use bytes::Bytes;
use std::hint::black_box;

/// All parsers, one after the other.
pub fn all(harness: &mut impl Harness) {
    let invite = Bytes::from_static(INVITE.as_bytes());
    harness.case("hot path, callflow", || callflow::hot(black_box(&invite)));
    harness.case("hot path, rsipstack", || rsipstack::hot(black_box(&invite)));
    harness.case("hot path, rsip", || rsip::hot(black_box(&invite)));
    harness.case("hot path, ezk-sip-types", || ezk::hot(black_box(&invite)));
    harness.case("hot path, rvoip-sip-core", || rvoip::hot(black_box(&invite)));
    harness.case("in full, callflow", || callflow::full(black_box(&invite)));
    harness.case("in full, rsipstack and sdp-types", || rsipstack::full(black_box(&invite)));
    harness.case("in full, rsip and sdp-types", || rsip::full(black_box(&invite)));
    harness.case("in full, ezk-sip-types and sdp-types", || ezk::full(black_box(&invite)));
    harness.case("in full, rvoip-sip-core", || rvoip::full(black_box(&invite)));
}

/// Checks that all read the same.
pub fn agree() {
    let invite = Bytes::from_static(INVITE.as_bytes());
    let ours = callflow::told(&invite);
    assert_eq!(ours, rsipstack::told(&invite));
    assert_eq!(ours, rsip::told(&invite));
    assert_eq!(ours, ezk::told(&invite));
    assert_eq!(ours, rvoip::told(&invite));
}

mod callflow {
    use super::{Bytes, Hot};
    use ::callflow::sip::{HeaderName, Message, Uri};

    pub fn hot(raw: &Bytes) -> Message {
        Message::parse(raw.clone())
    }

    pub fn told(raw: &Bytes) -> Hot {
        let message = hot(raw);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Hot {
            method: message.method().name().to_owned(),
            branch: text(message.branch()),
            from_tag: text(message.from_tag()),
            to_tag: text(message.to_tag()),
            call_id: text(message.call_id()),
            cseq: message.cseq_number().unwrap(),
            content_length: message.content_length().unwrap() as u32,
        }
    }

    pub fn full(raw: &Bytes) -> usize {
        let message = hot(raw);
        let mut read = message.headers().count() + message.vias().map(|via| via.host.len()).sum::<usize>();
        for name in [HeaderName::From, HeaderName::To, HeaderName::Contact] {
            for address in message.addresses(name) {
                read += address.display.len() + Uri::parse(address.uri).map_or(0, |uri| uri.host.len());
            }
        }
        read += Uri::parse(message.request_uri()).map_or(0, |uri| uri.host.len());
        read += message.header(HeaderName::Allow).map_or(0, |allow| allow.split(|byte| *byte == b',').count());
        read + message.sdp().map_or(0, |sdp| sdp.media.len())
    }
}

/// rsip and its descendant have the same interface.
macro_rules! of_rsip {
    ($name:ident, $sip:path) => {
        mod $name {
            use super::{Bytes, Hot};
            use sip::prelude::*;
            use sip::{Header, SipMessage, typed};
            use $sip as sip;

            fn parts(raw: &Bytes) -> (SipMessage, typed::Via, typed::From, typed::To, typed::CSeq) {
                let message = SipMessage::try_from(&raw[..]).unwrap();
                let via = message.via_header().unwrap().typed().unwrap();
                let from = message.from_header().unwrap().typed().unwrap();
                let to = message.to_header().unwrap().typed().unwrap();
                let cseq = message.cseq_header().unwrap().typed().unwrap();
                (message, via, from, to, cseq)
            }

            pub fn hot(raw: &Bytes) -> usize {
                let (message, via, from, to, cseq) = parts(raw);
                via.branch().map_or(0, |branch| branch.value().len())
                    + from.tag().map_or(0, |tag| tag.value().len())
                    + to.tag().map_or(0, |tag| tag.value().len())
                    + cseq.seq as usize
                    + message.call_id_header().unwrap().value().len()
            }

            pub fn told(raw: &Bytes) -> Hot {
                let (message, via, from, to, cseq) = parts(raw);
                let length = message.headers().iter().find_map(|header| match header {
                    Header::ContentLength(length) => Some(length.value().parse().unwrap()),
                    _ => None,
                });
                Hot {
                    method: cseq.method.to_string(),
                    branch: via.branch().unwrap().value().to_owned(),
                    from_tag: from.tag().unwrap().value().to_owned(),
                    to_tag: to.tag().map_or(String::new(), |tag| tag.value().to_owned()),
                    call_id: message.call_id_header().unwrap().value().to_owned(),
                    cseq: cseq.seq as u32,
                    content_length: length.unwrap(),
                }
            }

            pub fn full(raw: &Bytes) -> usize {
                let (message, ..) = parts(raw);
                let contact = message.contact_header().unwrap().typed().unwrap();
                let SipMessage::Request(request) = &message else { unreachable!() };
                let sdp = sdp_types::Session::parse(&request.body).unwrap();
                usize::from(contact.display_name.is_some()) + message.headers().iter().count() + sdp.medias.len()
            }
        }
    };
}

of_rsip!(rsip, ::rsip);
of_rsip!(rsipstack, ::rsipstack::sip);

mod ezk {
    use super::{Bytes, Hot};
    use ezk_sip_types::header::typed::{CSeq, CallID, Contact, ContentLength, FromTo, Via};
    use ezk_sip_types::msg::{Line, MessageLine, PullParser};
    use ezk_sip_types::parse::Parse;
    use ezk_sip_types::{Headers, Name};

    fn headers(raw: &Bytes) -> (MessageLine, Headers, usize) {
        let mut lines = PullParser::new(raw, 0);
        let text = |line| std::str::from_utf8(line).unwrap();
        let (_, start) = MessageLine::parse(raw)(text(lines.next().unwrap().unwrap())).unwrap();
        let mut headers = Headers::new();
        for line in &mut lines {
            let (_, line) = Line::parse(raw, text(line.unwrap())).unwrap();
            headers.insert(line.name, line.value);
        }
        (start, headers, lines.head_end())
    }

    fn parts(raw: &Bytes) -> (Headers, usize, Via, FromTo, FromTo, CSeq, CallID, ContentLength) {
        let (_, headers, body) = headers(raw);
        let via = headers.get_named::<Vec<Via>>().unwrap().remove(0);
        let (from, to) = (headers.get(Name::FROM).unwrap(), headers.get(Name::TO).unwrap());
        let (cseq, call_id) = (headers.get_named().unwrap(), headers.get_named().unwrap());
        let length = headers.get_named().unwrap();
        (headers, body, via, from, to, cseq, call_id, length)
    }

    pub fn hot(raw: &Bytes) -> usize {
        let (_, _, via, from, _, cseq, call_id, _) = parts(raw);
        via.params.get_val("branch").map_or(0, |branch| branch.len())
            + from.tag.map_or(0, |tag| tag.len())
            + cseq.cseq as usize
            + call_id.0.len()
    }

    pub fn told(raw: &Bytes) -> Hot {
        let (_, _, via, from, to, cseq, call_id, length) = parts(raw);
        Hot {
            method: cseq.method.to_string(),
            branch: via.params.get_val("branch").unwrap().to_string(),
            from_tag: from.tag.unwrap().to_string(),
            to_tag: to.tag.map_or(String::new(), |tag| tag.to_string()),
            call_id: call_id.0.to_string(),
            cseq: cseq.cseq,
            content_length: length.0 as u32,
        }
    }

    pub fn full(raw: &Bytes) -> usize {
        let (headers, body, ..) = parts(raw);
        let contacts = headers.get_named::<Vec<Contact>>().unwrap();
        contacts.len() + sdp_types::Session::parse(&raw[body..]).unwrap().medias.len()
    }
}

mod rvoip {
    use super::{Bytes, Hot};
    use rvoip_sip_core::types::headers::TypedHeader;
    use rvoip_sip_core::{Message, parse_message, parse_sdp};

    pub fn hot(raw: &Bytes) -> Message {
        parse_message(raw).unwrap()
    }

    pub fn told(raw: &Bytes) -> Hot {
        let Message::Request(request) = hot(raw) else { unreachable!() };
        let mut told = Hot {
            method: request.method.to_string(),
            branch: String::new(),
            from_tag: String::new(),
            to_tag: String::new(),
            call_id: String::new(),
            cseq: 0,
            content_length: 0,
        };
        for header in &request.headers {
            match header {
                TypedHeader::Via(via) => told.branch = via.branch().unwrap_or_default().to_owned(),
                TypedHeader::From(from) => told.from_tag = from.tag().unwrap_or_default().to_owned(),
                TypedHeader::To(to) => told.to_tag = to.tag().unwrap_or_default().to_owned(),
                TypedHeader::CallId(id) => told.call_id = id.to_string(),
                TypedHeader::CSeq(cseq) => told.cseq = cseq.seq,
                TypedHeader::ContentLength(length) => told.content_length = length.0,
                _ => {}
            }
        }
        told
    }

    pub fn full(raw: &Bytes) -> usize {
        let Message::Request(request) = hot(raw) else { unreachable!() };
        let sdp = parse_sdp(&request.body).unwrap();
        request.headers.len() + sdp.media_descriptions.len()
    }
}
