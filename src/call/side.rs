//! A leg as correlation sees it: who invited whom when, and what came of it.

use super::{Call, Participant};
use crate::base::{Idx, Timestamp};
use crate::session::{MessageNo, Seen, Transaction};
use crate::sip::{Facts, Message, Method, Uri};
use smallvec::SmallVec;
use std::sync::OnceLock;

/// Ends of a leg that are looked at; a fork has some, a flood thousands.
const ENDS: usize = 8;
/// Messages of a transaction that are searched for the first ringing, and of a leg for media addresses.
const EARLY: usize = 16;
/// Media addresses that are compared.
const MEDIA: usize = 8;

/// One leg: an INVITE of its own, with its way from whoever sent it to whoever answers it.
pub(super) struct Side<'a> {
    /// Position among the legs.
    pub(super) number: usize,
    pub(super) leg: &'a Call,
    seen: &'a [Seen],
    /// The INVITE with which it was set up: the last one, if others were challenged or refused before.
    pub(super) invite: &'a Message,
    /// When its first INVITE was seen.
    pub(super) begun: Timestamp,
    /// On the hop of whoever sent the INVITE.
    pub(super) top: Progress,
    /// On the hops of those who did not pass it on.
    pub(super) bottoms: SmallVec<[Progress; 2]>,
    media: OnceLock<SmallVec<[Media<'a>; 2]>>,
}

/// Address and port that media are sent to.
type Media<'a> = (&'a [u8], u16);

/// An INVITE on one hop, and when it came how far.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) client: Idx<Participant>,
    pub(super) server: Idx<Participant>,
    pub(super) asked: Timestamp,
    /// First 18x.
    pub(super) rang: Option<Timestamp>,
    /// First final response.
    pub(super) ended: Option<(u16, Timestamp)>,
}

impl Progress {
    /// When it was answered by a 2xx.
    pub(super) fn answered(&self) -> Option<Timestamp> {
        self.ended.filter(|(status, _)| (200..300).contains(status)).map(|(_, time)| time)
    }
}

impl<'a> Side<'a> {
    /// `None` for what is no call, or whose INVITE is not in the capture.
    pub(super) fn new(number: usize, leg: &'a Call, seen: &'a [Seen]) -> Option<Self> {
        let opens =
            |t: &&Transaction| t.method == Method::Invite && t.request.is_some_and(|no| is_initial(leg, seen, no));
        let invites = || leg.transactions.iter().filter(opens);
        let first = invites().find(|t| t.upstream.is_none())?;
        let last = invites().rfind(|t| t.upstream.is_none())?;
        let message = |no: MessageNo| &seen[leg.message(no).seen.at()];
        let mut forwarded = vec![false; leg.transactions.len()];
        for up in leg.transactions.iter().filter_map(|t| t.upstream) {
            forwarded[up.at()] = true;
        }
        let ends = leg.transactions.iter().zip(&forwarded).filter(|(t, forwarded)| opens(t) && !**forwarded);
        let bottoms = ends.rev().take(ENDS).filter_map(|(t, _)| progress(leg, seen, t)).collect();
        Some(Self {
            number,
            leg,
            seen,
            invite: &message(last.request?).message,
            begun: message(first.request?).time,
            top: progress(leg, seen, last)?,
            bottoms,
            media: OnceLock::new(),
        })
    }

    /// The message with number `no`.
    pub(super) fn seen(&self, no: MessageNo) -> &'a Seen {
        &self.seen[self.leg.message(no).seen.at()]
    }

    /// The message at this position.
    pub(super) fn seen_at(&self, at: Idx<Seen>) -> &'a Seen {
        &self.seen[at.at()]
    }

    /// The first response but 100 to the INVITE, on the hop of whoever sent it.
    pub(super) fn top_response(&self) -> Option<&'a Message> {
        let invite =
            self.leg.transactions.iter().rfind(|t| t.request.is_some_and(|no| self.seen(no).time == self.top.asked))?;
        let messages = invite.messages.iter().take(EARLY).map(|no| &self.seen(*no).message);
        messages.into_iter().find(|message| message.status().is_some_and(|status| status > 100))
    }

    /// A participant.
    pub(super) fn who(&self, who: Idx<Participant>) -> &'a Participant {
        &self.leg.participants[who.at()]
    }

    /// When the first BYE was seen.
    pub(super) fn released(&self) -> Option<Timestamp> {
        self.first_of(self.leg.dialogs.iter().find_map(|dialog| dialog.bye)?)
    }

    /// When the first CANCEL was seen.
    pub(super) fn cancelled(&self) -> Option<Timestamp> {
        let at = self.leg.transactions.iter().position(|t| t.method == Method::Cancel)?;
        self.first_of(Idx::new(at))
    }

    /// Where whoever sent the INVITE wants media, in its first session descriptions.
    pub(super) fn media(&self) -> &[Media<'a>] {
        self.media.get_or_init(|| {
            let sent = self.leg.messages.iter().filter(|message| message.from == self.top.client).take(EARLY);
            let messages = sent.map(|message| &self.seen[message.seen.at()].message);
            let media =
                messages.filter(|message| message.has(Facts::SDP)).filter_map(Message::sdp).flat_map(|sdp| sdp.media);
            let mut all: SmallVec<[Media<'a>; 2]> = SmallVec::new();
            for media in media.filter(|media| media.port != 0).take(MEDIA) {
                all.extend(
                    media.connection.filter(|address| *address != b"0.0.0.0").map(|address| (address, media.port)),
                );
            }
            all
        })
    }

    fn first_of(&self, transaction: Idx<Transaction>) -> Option<Timestamp> {
        let no = self.leg.transaction(transaction).messages.first()?;
        Some(self.seen(*no).time)
    }
}

fn is_initial(leg: &Call, seen: &[Seen], no: MessageNo) -> bool {
    seen[leg.message(no).seen.at()].message.to_tag().is_empty()
}

fn progress(leg: &Call, seen: &[Seen], transaction: &Transaction) -> Option<Progress> {
    let request = leg.message(transaction.request?);
    let time = |no: MessageNo| seen[leg.message(no).seen.at()].time;
    let status = |no: MessageNo| seen[leg.message(no).seen.at()].message.status();
    let rings = |no: &&MessageNo| status(**no).is_some_and(|status| (180..190).contains(&status));
    Some(Progress {
        client: request.from,
        server: request.to,
        asked: seen[request.seen.at()].time,
        rang: transaction.messages.iter().take(EARLY).find(rings).map(|no| time(*no)),
        ended: transaction.final_response.and_then(|no| Some((status(no)?, time(no)))),
    })
}

/// The user part of a URI; empty when there is none.
pub(super) fn user(uri: &[u8]) -> &[u8] {
    Uri::parse(uri).map_or(b"".as_slice(), |uri| uri.user)
}

/// Fewest digits by which a telephone number is known without its prefix: a subscriber number.
const DIGITS: usize = 7;
/// Most digits that a prefix has: country, carrier, or what a gateway puts before them.
const PREFIX: usize = 6;

/// What two ways to write the same number have in common: its last digits, or else all of the user part.
pub(super) fn number_key(user: &[u8]) -> &[u8] {
    let digits = digits(user);
    digits.get(digits.len().saturating_sub(DIGITS)..).filter(|tail| tail.len() == DIGITS).unwrap_or(user)
}

/// Whether both name the same party: the same user, or one number with different prefixes.
pub(super) fn same_party(a: &[u8], b: &[u8]) -> bool {
    if a.is_empty() || b.is_empty() {
        return false;
    }
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    let (a, b) = (digits(a), digits(b));
    let common = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    common >= DIGITS && a.len() - common <= PREFIX && b.len() - common <= PREFIX
}

/// The digits that a user part begins with, a plus sign left out.
fn digits(user: &[u8]) -> &[u8] {
    let user = user.strip_prefix(b"+").unwrap_or(user);
    let end = user.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(user.len());
    &user[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_many_prefixes() {
        for (a, b) in [
            ("+12263382742", "9998112263382742"),
            ("+4930123456", "030123456"),
            ("12675941249_Uclx8s", "+12675941249"),
            ("bob", "BOB"),
        ] {
            assert!(same_party(a.as_bytes(), b.as_bytes()), "{a} {b}");
            assert!(number_key(a.as_bytes()).eq_ignore_ascii_case(number_key(b.as_bytes())), "{a} {b}");
        }
        for (a, b) in [("2001", "12001"), ("bob", "bobby"), ("", ""), ("1234567", "7654321"), ("0123", "+49123")] {
            assert!(!same_party(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
