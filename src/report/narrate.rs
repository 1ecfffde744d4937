//! A call told as a story: who asked whom for what, what the other side answered, with frames.
//!
//! Written from the model of the call (transactions of its first hop, dialogs, participants), so that it
//! says what happened and not what a status code usually means: a 401 is "asks for a password" when it
//! answers a request without credentials, and "refuses the credentials" when it answers one with them.

use super::style::shorten;
use super::{escape, time, words};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Kind, Participant, Role};
use crate::session::{CopyKind, Dialog, MessageNo, Transaction};
use crate::sip::{Facts, Method};
use std::fmt::Write as _;
use std::time::Duration;

/// Events told one by one; of longer calls the rest is counted.
const TOLD: usize = 24;
/// Answers that took less are at once.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Elements on a path that are told.
const PATH: usize = 16;

/// The call as sentences, in order of time: every exchange of its first hop is in it.
pub fn narrative(view: CallView<'_>) -> String {
    let mut story = Story { view, named: vec![false; view.call.participants.len()] };
    let events = story.events();
    let mut text = String::new();
    for (_, event) in events.iter().take(TOLD) {
        let sentence = story.tell(event);
        let _ = write!(text, "{}{}.", if text.is_empty() { "" } else { " " }, capital(&sentence));
    }
    if events.len() > TOLD {
        let _ = write!(text, " {} more events follow.", events.len() - TOLD);
    }
    text
}

/// Something that happened.
enum Event<'a> {
    /// A request.
    Asked(Idx<Transaction>, &'a Transaction, MessageNo),
    /// A provisional response that people notice.
    Ringing(Idx<Transaction>, MessageNo),
    /// A final response to the INVITE of a call or a REGISTER; to others it is told with the request.
    Answered(Idx<Transaction>, &'a Transaction, MessageNo),
    /// No final response came.
    Unanswered(&'a Transaction, MessageNo),
    /// Answers to what is not in the capture.
    Headless(MessageNo),
}

struct Story<'a> {
    view: CallView<'a>,
    /// Which participants were introduced with their address.
    named: Vec<bool>,
}

impl<'a> Story<'a> {
    /// What happened on the first hop, in order of time: forwarded copies and ACKs are told with it.
    fn events(&self) -> Vec<(MessageNo, Event<'a>)> {
        let mut events = Vec::new();
        for (at, t) in self.view.transactions().filter(|(_, t)| self.is_root(t)) {
            let Some(request) = t.request else {
                events.extend(t.messages.first().map(|no| (*no, Event::Headless(*no))));
                continue;
            };
            events.push((request, Event::Asked(at, t, request)));
            let is_told_alone = match t.method {
                Method::Invite => self.view.sip(request).to_tag().is_empty(),
                method => method == Method::Register,
            };
            if !is_told_alone {
                continue;
            }
            events.extend(self.ringing(t).map(|no| (no, Event::Ringing(at, no))));
            events.push(match t.final_response {
                Some(answer) => (answer, Event::Answered(at, t, answer)),
                None => (t.messages.last().copied().unwrap_or(request), Event::Unanswered(t, request)),
            });
        }
        events.sort_by_key(|(no, _)| *no);
        events
    }

    /// Neither forwarded nor told with another one.
    fn is_root(&self, t: &Transaction) -> bool {
        let of_forwarded = || t.invite.is_some_and(|invite| self.view.call.transaction(invite).upstream.is_some());
        t.upstream.is_none() && t.method != Method::Ack && !(t.method == Method::Cancel && of_forwarded())
    }

    fn tell(&mut self, event: &Event<'a>) -> String {
        match *event {
            Event::Asked(at, t, request) => match t.method {
                Method::Invite if self.view.sip(request).to_tag().is_empty() => self.invite(at, request),
                Method::Register => self.register(request),
                Method::Cancel => self.cancel(t, request),
                Method::Bye => self.bye(t, request),
                _ => self.other(t, request),
            },
            Event::Ringing(at, no) => {
                let who = self.answerer(at, no);
                let (label, frame) = (words::label(self.view.sip(no)), self.view.frame(no));
                let asked = self.view.call.transaction(at).request.unwrap_or(no);
                let wait = self.wait(asked, no);
                if self.view.sip(no).status() == Some(180) {
                    format!("the phone of {who} rang{wait} ({label}, frame {frame})")
                } else {
                    format!("{who} reported progress{wait} ({label}, frame {frame})")
                }
            }
            Event::Answered(at, t, answer) => self.answer(at, t, answer),
            Event::Unanswered(t, request) => self.unanswered(t, request),
            Event::Headless(first) => {
                let who = self.name(self.view.call.message(first).from);
                let (label, frame) = (words::label(self.view.sip(first)), self.view.frame(first));
                format!("{who} answered {label} (frame {frame}); what it answers is not in the capture")
            }
        }
    }

    fn invite(&mut self, at: Idx<Transaction>, request: MessageNo) -> String {
        let (from, to) = self.ends(request);
        let callee = words::short_uri(&words::to_uri(self.view));
        let place = self.view.call.participants[self.view.call.message(request).to.at()].role;
        let credentials = self.has_credentials(request);
        let what = match place {
            _ if credentials && self.asked_before(request) => "called again, with credentials".to_owned(),
            Role::Ua => format!("called {to}"),
            Role::Redirect => format!("called {callee} at {to}"),
            _ => format!("called {callee} through {to}"),
        };
        let told = format!("{from} {what} (INVITE, frame {}{})", self.view.frame(request), self.times_of(request));
        match self.path(at) {
            Some(path) => format!("{told}. {}", capital(&path)),
            None => told,
        }
    }

    fn register(&mut self, request: MessageNo) -> String {
        let (from, to) = self.ends(request);
        let who = words::short_uri(&words::to_uri(self.view));
        let again = self.has_credentials(request) && self.asked_before(request);
        let what =
            if again { "asked again, with credentials".to_owned() } else { format!("asked {to} to register {who}") };
        format!("{from} {what} (REGISTER, frame {}{})", self.view.frame(request), self.times_of(request))
    }

    /// Whether an earlier request of the same method asked for the same.
    fn asked_before(&self, request: MessageNo) -> bool {
        let method = self.view.sip(request).method();
        self.view.call.transactions.iter().any(|t| t.method == method && t.request.is_some_and(|no| no < request))
    }

    /// A final response to an INVITE or REGISTER.
    fn answer(&mut self, at: Idx<Transaction>, t: &Transaction, answer: MessageNo) -> String {
        let status = self.view.sip(answer).status().unwrap_or_default();
        let asked = t.request.unwrap_or(answer);
        let (frame, wait, times) = (self.view.frame(answer), self.wait(asked, answer), self.times_of(answer));
        let who = self.answerer(at, answer);
        let label = bare_label(self.view, answer);
        let is_call = t.method == Method::Invite;
        let what = match status {
            200..=299 if is_call => format!("{who} answered{wait}"),
            200..=299 => format!("{who} accepted{wait}"),
            401 | 407 if !self.has_credentials(asked) => format!("{who} asked for a password, as is usual"),
            401 | 407 => format!("{who} did not accept the credentials"),
            300..=399 => format!("{who} named another place to call{wait}"),
            487 => "the attempt was ended before anybody answered".to_owned(),
            486 | 600 => format!("{who} was busy{wait}"),
            _ => format!("{who} refused{wait}"),
        };
        let told = format!("{what} ({label}, frame {frame}{times})");
        match (is_call, if status >= 300 { t.ack } else { self.ack_of(answer) }) {
            (true, Some(ack)) if status < 300 => {
                format!("{told}, and that was acknowledged (ACK, frame {})", self.view.frame(ack))
            }
            (true, None) => format!("{told}; no ACK to that is in the capture"),
            _ => told,
        }
    }

    fn cancel(&mut self, t: &Transaction, request: MessageNo) -> String {
        let (from, _) = self.ends(request);
        let invite = t.invite.and_then(|invite| self.view.call.transaction(invite).request);
        let wait = invite.map_or_else(String::new, |invite| self.wait(invite, request));
        let told =
            format!("{from} gave up{wait} (CANCEL, frame {}{})", self.view.frame(request), self.times_of(request));
        format!("{told}{}", self.short_answer(t))
    }

    fn bye(&mut self, t: &Transaction, request: MessageNo) -> String {
        let (from, _) = self.ends(request);
        let up = self.view.call.dialogs.iter().find_map(|dialog| dialog.confirmed).filter(|start| *start < request);
        let talked = up.map_or_else(String::new, |start| {
            format!(" after {}", time::length(self.view.seen(request).time.since(self.view.seen(start).time)))
        });
        let told =
            format!("{from} hung up{talked} (BYE, frame {}{})", self.view.frame(request), self.times_of(request));
        format!("{told}{}", self.short_answer(t))
    }

    fn other(&mut self, t: &Transaction, request: MessageNo) -> String {
        let (from, to) = self.ends(request);
        let label = words::label(self.view.sip(request));
        let told = format!("{from} sent {to} {label} (frame {}{})", self.view.frame(request), self.times_of(request));
        format!("{told}{}", self.short_answer(t))
    }

    /// "; that was confirmed (200 OK, frame 7)".
    fn short_answer(&self, t: &Transaction) -> String {
        let Some(answer) = t.final_response else {
            return "; no answer to that is in the capture".to_owned();
        };
        let what = match self.view.sip(answer).status().unwrap_or_default() {
            200..=299 => "that was confirmed",
            401 | 407 => "a password was asked for",
            _ => "that was refused",
        };
        format!(
            "; {what} ({}, frame {}{})",
            bare_label(self.view, answer),
            self.view.frame(answer),
            self.times_of(answer)
        )
    }

    fn unanswered(&mut self, t: &Transaction, request: MessageNo) -> String {
        let caller_tag = self.view.sip(request).from_tag();
        let is_up = |dialog: &Dialog| dialog.caller_tag == caller_tag && dialog.ack.is_some();
        if t.ack.is_some() || (t.method == Method::Invite && self.view.call.dialogs.iter().any(is_up)) {
            return "A final answer must have come, for it was acknowledged; it is not in the capture".to_owned();
        }
        let left = time::length(self.view.capture_after(self.view.seen(request).time));
        let to = self.name(self.view.call.message(request).to);
        match t.provisional {
            Some(_) => format!("No final answer is in the capture, which goes on for {left} after the request"),
            None => format!("{to} never answered; the capture goes on for {left} after the request"),
        }
    }

    /// The ACK to a 2xx, where it was first seen.
    fn ack_of(&self, answer: MessageNo) -> Option<MessageNo> {
        let message = self.view.sip(answer);
        let tag = message.to_tag();
        let mut dialogs = self.view.call.dialogs.iter();
        dialogs.find(|dialog| dialog.callee_tag == tag && dialog.caller_tag == message.from_tag()).and_then(|d| d.ack)
    }

    /// The first provisional response that a person notices: 180 before anything else.
    fn ringing(&self, t: &Transaction) -> Option<MessageNo> {
        let status = |no: &MessageNo| self.view.sip(*no).status().unwrap_or_default();
        let is_original = |no: &&MessageNo| self.view.call.message(**no).copy.is_none();
        let provisional: Vec<MessageNo> =
            t.messages.iter().filter(is_original).copied().filter(|no| (101..200).contains(&status(no))).collect();
        provisional.iter().find(|no| status(no) == 180).or(provisional.first()).copied()
    }

    /// Where an INVITE was passed on: "the proxy 10.0.0.1 passed it on to the proxy 10.0.0.2, that to bob (frames 5, 7)".
    fn path(&mut self, at: Idx<Transaction>) -> Option<String> {
        let (mut told, mut frames, mut at) = (String::new(), Vec::new(), at);
        while frames.len() < PATH {
            let next: Vec<(Idx<Transaction>, MessageNo)> =
                self.behind(at).filter_map(|(at, t)| Some((at, t.request?))).take(PATH).collect();
            let Some((first, request)) = next.first().copied() else { break };
            let place = self.view.call.message(request);
            if told.is_empty() {
                told = format!("{} passed it on to ", self.name(place.from));
            } else {
                told.push_str(", that to ");
            }
            let names: Vec<String> = next
                .iter()
                .map(|(_, no)| self.view.call.message(*no))
                .map(|place| if place.from == place.to { "itself".to_owned() } else { self.name(place.to) })
                .collect();
            told.push_str(&names.join(" and to "));
            frames.extend(next.iter().map(|(_, no)| self.view.frame(*no).to_string()));
            if next.len() > 1 {
                break;
            }
            at = first;
        }
        let plural = if frames.len() == 1 { "" } else { "s" };
        (!frames.is_empty()).then(|| format!("{told} (frame{plural} {})", frames.join(", ")))
    }

    /// The transactions one hop further that carry on the one at `at`.
    fn behind(&self, at: Idx<Transaction>) -> impl Iterator<Item = (Idx<Transaction>, &'a Transaction)> + use<'a> {
        self.view.transactions().filter(move |(_, t)| t.upstream == Some(at))
    }

    /// Who made the answer: who sent it on the hop furthest from the caller that shows it.
    fn answerer(&mut self, at: Idx<Transaction>, answer: MessageNo) -> String {
        let (mut at, mut last) = (at, answer);
        let (status, tag) = (self.view.sip(answer).status(), self.view.sip(answer).to_tag());
        let is_same = |no: &MessageNo| self.view.sip(*no).status() == status && self.view.sip(*no).to_tag() == tag;
        for _ in 0..PATH {
            let behind = self.behind(at).find_map(|(at, t)| Some((at, t.messages.iter().copied().find(is_same)?)));
            let Some(found) = behind else { break };
            (at, last) = found;
        }
        self.name(self.view.call.message(last).from)
    }

    fn has_credentials(&self, request: MessageNo) -> bool {
        let message = self.view.sip(request);
        message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION)
    }

    fn ends(&mut self, request: MessageNo) -> (String, String) {
        let place = self.view.call.message(request);
        let from = self.name(place.from);
        (from, self.name(place.to))
    }

    /// "the proxy 10.0.0.1:5060" at first, "the proxy" when there is only one such.
    fn name(&mut self, who: Idx<Participant>) -> String {
        let address = words::address(self.view, who);
        let user = match (self.view.call.participants[who.at()].role, self.view.call.kind, who.at()) {
            (_, Kind::Registration, _) => None,
            (Role::Ua, _, 0) => Some(words::from_uri(self.view)),
            (Role::Ua, _, at) if at + 1 == self.view.call.participants.len() => Some(words::to_uri(self.view)),
            _ => None,
        };
        let user = user.map(|uri| words::short_uri(&uri)).and_then(|uri| {
            let user = uri.split_once('@')?.0;
            (!user.is_empty()).then(|| shorten(user, 24, "…"))
        });
        let part = user.unwrap_or_else(|| match words::part(self.view, who) {
            "" => String::new(),
            "user agent" => "the phone".to_owned(),
            part => format!("the {part}"),
        });
        let part = escape::text(&part).into_owned();
        let is_alone = self
            .view
            .call
            .participants
            .iter()
            .enumerate()
            .all(|(at, _)| at == who.at() || words::part(self.view, Idx::new(at)) != words::part(self.view, who));
        let known = std::mem::replace(&mut self.named[who.at()], true);
        match part.is_empty() {
            true => address,
            false if known && (is_alone || !part.starts_with("the ")) => part,
            false if part.starts_with("the ") => format!("{part} {address}"),
            false => format!("{part} ({address})"),
        }
    }

    /// ", sent 7 times in 31.5 s" for what was repeated.
    fn times_of(&self, no: MessageNo) -> String {
        let is_sending = |copy: &MessageNo| {
            self.view.call.message(*copy).copy.is_none_or(|copy| copy.kind == CopyKind::Retransmission)
        };
        let sendings: Vec<MessageNo> = self.view.call.with_copies(no).filter(is_sending).collect();
        match sendings.last() {
            Some(last) if sendings.len() > 1 => {
                let span = self.view.seen(*last).time.since(self.view.seen(no).time);
                format!(", sent {} times in {}", sendings.len(), time::length(span))
            }
            _ => String::new(),
        }
    }

    /// " after 3.2 s" when that took long enough to be felt.
    fn wait(&self, from: MessageNo, to: MessageNo) -> String {
        let waited = self.view.seen(to).time.since(self.view.seen(from).time);
        if waited < AT_ONCE { String::new() } else { format!(" after {}", time::length(waited)) }
    }
}

/// "200 OK", without what it answers or carries.
fn bare_label(view: CallView<'_>, answer: MessageNo) -> String {
    let label = words::label(view.sip(answer));
    label.split(" (").next().unwrap_or_default().trim_end_matches(" SDP").to_owned()
}

fn capital(text: &str) -> String {
    // Names of users stay as they are.
    match text.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => text.to_owned(),
    }
}
