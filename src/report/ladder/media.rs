//! Media between the ends of a call as offer and answer agreed on it: from when, between whom, until when.

use super::session::{Role, Session, content};
use super::{Arrow, Row, maybe_seconds};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::report::time;
use crate::session::MessageNo;
use crate::sip::Method;
use serde::Serialize;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Media of one leg that flow at once; forks and relays have a few.
const AT_ONCE: usize = 16;

/// Media between two lanes; a band in drawings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Media {
    /// Lane of the side that offered.
    pub from: usize,
    /// Lane of the side that answered.
    pub to: usize,
    /// Row of type `media` that it begins with.
    pub first: usize,
    /// Row that ends it, or the last one.
    pub last: usize,
    /// What state it is in.
    pub state: MediaState,
    /// What it is: "PCMU", "opus + video".
    pub words: String,
    /// How long; none when its end is not in the capture.
    #[serde(rename = "seconds", serialize_with = "maybe_seconds")]
    pub length: Option<Duration>,
}

/// What state media are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaState {
    /// Before the call was answered: ringing tones, announcements.
    Early,
    /// Both ways.
    Talk,
    /// On hold.
    Hold,
}

impl Media {
    /// "media PCMU, 34 s".
    pub fn text(&self) -> String {
        let what = match self.state {
            MediaState::Early => "early media",
            MediaState::Talk => "media",
            MediaState::Hold => "on hold",
        };
        let length = self.length.map_or_else(String::new, |length| format!(", {}", time::length(length)));
        format!("{what} {}{length}", self.words)
    }
}

/// Media by messages; rows come later.
pub(super) struct Span {
    media: Media,
    began: MessageNo,
    since: Timestamp,
    ended: Option<MessageNo>,
}

/// What one side of a negotiation said.
#[derive(Clone)]
struct Side {
    lane: usize,
    address: Option<IpAddr>,
    words: String,
    held: bool,
}

/// Follows offers and answers, message by message.
#[derive(Default)]
pub(super) struct Tracker {
    spans: Vec<Span>,
    /// By Call-ID, the spans that have not ended, and whether the call was answered.
    open: HashMap<Vec<u8>, (Vec<usize>, bool)>,
    /// By exchange and hop, the last offer.
    offers: HashMap<(usize, usize), Side>,
    /// By exchange, direction and To tag, the lane where a description was seen first: its author.
    authors: HashMap<(usize, bool, Vec<u8>), usize>,
}

impl Tracker {
    /// Message `no`, no copy, with its description.
    pub(super) fn next(&mut self, view: CallView<'_>, no: MessageNo, exchange: usize, session: Option<&Session>) {
        let (message, place) = (view.sip(no), view.call.message(no));
        let is_invite = message.cseq_method() == Method::Invite;
        if message.is_request() && message.method() == Method::Bye {
            return self.end(view, no, |_| true);
        }
        if is_invite && message.status().is_some_and(|status| status >= 300) {
            let lane = place.from.at();
            return self.end(view, no, |media| media.state == MediaState::Early && media.to == lane);
        }
        let answered = is_invite && message.status().is_some_and(|status| (200..300).contains(&status));
        if answered {
            self.open.entry(message.call_id().to_vec()).or_default().1 = true;
        }
        let (Some(session), Some(sdp)) = (session, message.sdp()) else {
            if answered {
                self.promote(view, no);
            }
            return;
        };
        let tag = if message.is_request() { Vec::new() } else { message.to_tag().to_vec() };
        let author = *self.authors.entry((exchange, message.is_request(), tag)).or_insert(place.from.at());
        let first = sdp.media.iter().find(|media| media.port != 0);
        let address = first.map_or(sdp.connection, |media| media.connection);
        let said = Side {
            lane: author,
            address: address.and_then(|address| std::str::from_utf8(address).ok()?.parse().ok()),
            words: if first.is_some() { content(&sdp) } else { String::new() },
            held: session.words.starts_with("hold") || session.words.starts_with("inactive"),
        };
        let key = (exchange, place.hop.at());
        match session.role {
            Role::Offer => drop(self.offers.insert(key, said)),
            Role::Answer => {
                if let Some(offer) = self.offers.get(&key).cloned().filter(|_| !said.words.is_empty()) {
                    self.agree(view, no, &offer, &said);
                }
            }
        }
    }

    /// An answer came to an offer.
    fn agree(&mut self, view: CallView<'_>, no: MessageNo, offer: &Side, answer: &Side) {
        let (mut from, mut to) = (lane(view, offer), lane(view, answer));
        if from == to {
            (from, to) = (offer.lane, answer.lane);
        }
        let id = view.sip(no).call_id();
        let (open, answered) = self.open.entry(id.to_vec()).or_default();
        let state = match (*answered, offer.held || answer.held) {
            (false, _) => MediaState::Early,
            (true, true) => MediaState::Hold,
            (true, false) => MediaState::Talk,
        };
        let alike =
            |media: &Media| (media.from.min(media.to), media.from.max(media.to)) == (from.min(to), from.max(to));
        let known = open.iter().position(|at| alike(&self.spans[*at].media));
        let same = |media: &Media| media.state == state && media.words == answer.words;
        if from == to || open.len() >= AT_ONCE || known.is_some_and(|at| same(&self.spans[open[at]].media)) {
            return;
        }
        if let Some(at) = known {
            close(&mut self.spans[open.remove(at)], view, no);
        }
        open.push(self.spans.len());
        let media = Media { from, to, first: 0, last: 0, state, words: answer.words.clone(), length: None };
        self.spans.push(Span { media, began: no, since: view.seen(no).time, ended: None });
    }

    /// The call was answered without a new description: what was early media is the talk now.
    fn promote(&mut self, view: CallView<'_>, no: MessageNo) {
        let Some((open, _)) = self.open.get_mut(view.sip(no).call_id()) else { return };
        for at in open {
            if self.spans[*at].media.state == MediaState::Early {
                close(&mut self.spans[*at], view, no);
                let media = Media { state: MediaState::Talk, length: None, ..self.spans[*at].media.clone() };
                *at = self.spans.len();
                self.spans.push(Span { media, began: no, since: view.seen(no).time, ended: None });
            }
        }
    }

    fn end(&mut self, view: CallView<'_>, no: MessageNo, which: impl Fn(&Media) -> bool) {
        if let Some((open, _)) = self.open.get_mut(view.sip(no).call_id()) {
            let spans = &mut self.spans;
            open.retain(|at| {
                let ends = which(&spans[*at].media);
                if ends {
                    close(&mut spans[*at], view, no);
                }
                !ends
            });
        }
    }

    /// Everything seen.
    pub(super) fn finish(self) -> Vec<Span> {
        self.spans
    }
}

fn close(span: &mut Span, view: CallView<'_>, no: MessageNo) {
    span.ended = Some(no);
    span.media.length = Some(view.seen(no).time.since(span.since));
}

/// The participant whose address receives the media, where there is exactly one; else who described it.
fn lane(view: CallView<'_>, side: &Side) -> usize {
    let Some(ip) = side.address else { return side.lane };
    let has = |at: usize| view.call.participants[at].addresses.iter().any(|address| address.ip == ip);
    if view.call.participants.get(side.lane).is_some() && has(side.lane) {
        return side.lane;
    }
    let mut lanes = (0..view.call.participants.len()).filter(|at| has(*at));
    lanes.next().filter(|_| lanes.next().is_none()).unwrap_or(side.lane)
}

/// Puts a row for each span behind the exchange that agreed on it, and tells the spans their rows.
pub(super) fn place(spans: Vec<Span>, rows: Vec<Row>) -> (Vec<Row>, Vec<Media>) {
    let mut at: HashMap<usize, usize> = HashMap::new();
    for (row, held) in rows.iter().enumerate() {
        if let Some(no) = arrow(held).and_then(|arrow| arrow.message) {
            at.insert(no - 1, row);
        }
    }
    let last = rows.len();
    let mut behind: Vec<(usize, Option<usize>, Media)> = spans
        .into_iter()
        .filter_map(|span| {
            let began = settled(&rows, *at.get(&span.began.at())?);
            let ended = span.ended.map_or(Some(last), |no| at.get(&no.at()).copied())?;
            (ended > began).then_some((began, (ended < last).then_some(ended), span.media))
        })
        .collect();
    behind.sort_by_key(|(began, ..)| *began);
    let mut new_row = Vec::with_capacity(rows.len());
    let mut placed = Vec::with_capacity(rows.len() + behind.len());
    let mut media: Vec<(Option<usize>, Media)> = Vec::with_capacity(behind.len());
    let mut next = behind.into_iter().peekable();
    for (row, held) in rows.into_iter().enumerate() {
        new_row.push(placed.len());
        placed.push(held);
        while let Some((_, ended, mut of)) = next.next_if(|(began, ..)| *began == row) {
            of.first = placed.len();
            placed.push(Row::Media { media: media.len() });
            media.push((ended, of));
        }
    }
    for row in &mut placed {
        if let Row::Arrow(arrow) = row {
            arrow.crosses = arrow.crosses.and_then(|row| new_row.get(row).copied());
        }
    }
    let end = placed.len().saturating_sub(1);
    let with_end = |(ended, of): (Option<usize>, Media)| Media { last: ended.map_or(end, |row| new_row[row]), ..of };
    (placed, media.into_iter().map(with_end).collect())
}

fn arrow(row: &Row) -> Option<&Arrow> {
    if let Row::Arrow(arrow) = row { Some(arrow) } else { None }
}

/// The last row of those that follow `row` and belong to the same exchange: its answer on other hops, its ACK.
fn settled(rows: &[Row], row: usize) -> usize {
    let exchange = |row: usize| arrow(&rows[row]).and_then(|arrow| arrow.exchange.as_ref()).map(|own| own.order);
    let own = exchange(row);
    let more =
        rows.iter().enumerate().skip(row + 1).take_while(|(at, held)| arrow(held).is_some() && exchange(*at) == own);
    more.last().map_or(row, |(at, _)| at)
}
