//! Registrations over time (RFC 3261 10.2.4): R04 ran out, R05 refreshed later than granted, R08 overlapping.

use super::facts::{cut, final_status, name, receiver, requests_of, sender, sendings, span, success, time};
use super::registration::{Binding, CONTACTS, number};
use super::subject;
use super::{CaptureContext, Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::{Timestamp, Transport};
use crate::call::Kind;
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Message, Method};
use foldhash::fast::RandomState;
use rayon::prelude::*;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// R04.
static RAN_OUT: Meta = Meta {
    code: "R04",
    name: "registration-ran-out",
    severity: Severity::Warning,
    title: "A registration was not renewed before it ran out",
    basis: &["RFC 3261 10.2.4", "RFC 3261 10.2.1.1"],
    page: include_str!("../../docs/rules/R04-registration-ran-out.md"),
};

/// R05.
static LATE: Meta = Meta {
    code: "R05",
    name: "granted-interval-ignored",
    severity: Severity::Warning,
    title: "The registrar granted less time than asked for, and the client renews later than that",
    basis: &["RFC 3261 10.3 step 7", "RFC 3261 10.2.4"],
    page: include_str!("../../docs/rules/R05-granted-interval-ignored.md"),
};

/// R08.
static OVERLAP: Meta = Meta {
    code: "R08",
    name: "registers-overlap",
    severity: Severity::Info,
    title: "A client sent a new REGISTER before the one before was answered",
    basis: &["RFC 3261 10.2"],
    page: include_str!("../../docs/rules/R08-registers-overlap.md"),
};

/// Clocks of two hosts, and the way to the tap, differ by less.
const SLACK: Duration = Duration::from_secs(2);
/// What the capture must hold behind the end of a registration to say that nothing renewed it.
const WATCHED: Duration = Duration::from_secs(5);

/// Judges each client by all its registrations: a restarted client uses another Call-ID.
pub(super) struct Refresh;

impl Rule for Refresh {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 2] = [&RAN_OUT, &LATE];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let of_call = |number| {
            let view = context.analysis.view(number);
            let registers = view.transactions().filter(|(_, t)| t.method == Method::Register && t.upstream.is_none());
            registers.filter_map(move |(_, t)| step(view, t))
        };
        let registrations = context.analysis.calls.par_iter().enumerate();
        let registrations = registrations.filter(|(_, call)| call.kind == Kind::Registration);
        let steps: Vec<_> = registrations.flat_map_iter(|(number, _)| of_call(number)).collect();
        let mut clients: BTreeMap<Client<'_>, Vec<Step<'_>>> = BTreeMap::new();
        for (client, step) in steps {
            clients.entry(client).or_default().push(step);
        }
        for (client, mut steps) in clients {
            steps.sort_by_key(|step| step.time);
            findings.extend(client_story(&client, &steps));
        }
    }
}

/// Address of record, the host that registers it, and the flow of RFC 5626 when it has several.
type Client<'a> = (&'a [u8], IpAddr, &'a [u8]);

/// A REGISTER of a client, with what came of it.
struct Step<'a> {
    view: CallView<'a>,
    t: &'a Transaction,
    /// When it was sent, or answered if the request is not in the capture.
    time: Timestamp,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// Accepted for this long; asked for more or not.
    Granted { answer: MessageNo, seconds: u32, shortened: bool },
    /// Tried to bind, and not accepted or not understood.
    Tried,
    /// Gave bindings up.
    Removed,
}

fn step<'a>(view: CallView<'a>, t: &'a Transaction) -> Option<(Client<'a>, Step<'a>)> {
    let first = t.request.or(t.final_response)?;
    let register = t.request.map(|no| view.sip(no));
    let what = match register {
        Some(register) => what(view, t, register)?,
        None => What::Tried,
    };
    let flow = register.and_then(|m| m.contacts().next()).and_then(|contact| contact.param("reg-id"));
    let client = (view.sip(first).to_uri(), t.connection.src.ip, flow.unwrap_or_default());
    Some((client, Step { view, t, time: time(view, first), what }))
}

/// Queries (no Contact) change nothing.
fn what(view: CallView<'_>, t: &Transaction, register: &Message) -> Option<What> {
    let asked = || register.header(HeaderName::Expires).and_then(number);
    let wanted = register.contacts().take(CONTACTS).map(|contact| (contact, contact.expires().or_else(asked)));
    let wanted: SmallVec<[_; 1]> = wanted.collect();
    let kept = || wanted.iter().filter(|(contact, expires)| !contact.is_star() && *expires != Some(0));
    if wanted.is_empty() {
        return None;
    }
    if kept().next().is_none() {
        return Some(What::Removed);
    }
    let Some(answer) = success(view, t) else {
        return Some(What::Tried);
    };
    let ok = view.sip(answer);
    let usual = || ok.header(HeaderName::Expires).and_then(number);
    let listed: SmallVec<[_; 1]> = ok.contacts().take(CONTACTS).collect();
    // The registrar may have rewritten a contact for NAT; then one alone must be it.
    let granted = kept().filter_map(|(contact, expires)| {
        let same = listed.iter().find(|other| Binding::of(other.uri) == Binding::of(contact.uri));
        let seconds = same.or(listed.first().filter(|_| listed.len() == 1))?.expires().or_else(usual)?;
        Some((seconds, expires.is_some_and(|asked| asked > seconds)))
    });
    let shortest = granted.min_by_key(|(seconds, _)| *seconds).filter(|_| !cut(view, answer));
    Some(shortest.map_or(What::Tried, |(seconds, shortened)| What::Granted { answer, seconds, shortened }))
}

/// The first registration of a client that ran out.
fn client_story(client: &Client<'_>, steps: &[Step<'_>]) -> Option<Finding> {
    steps.iter().enumerate().find_map(|(at, step)| {
        let What::Granted { answer, seconds, shortened } = step.what else {
            return None;
        };
        let end = time(step.view, answer).after(Duration::from_secs(seconds.into()));
        let rest = &steps[at + 1..];
        let in_time = || rest.iter().take_while(|later| later.time <= end.after(SLACK));
        let settled = |later: &Step<'_>| match later.what {
            What::Granted { .. } | What::Removed => true,
            What::Tried => !surely_failed(later),
        };
        if seconds == 0 || in_time().any(settled) || step.view.capture_after(end) < WATCHED {
            return None;
        }
        let next = rest.iter().find(|later| later.time > end.after(SLACK));
        let last_try = in_time().last();
        let story = Story { client, step, answer, seconds, end, next, last_try };
        match next {
            Some(next) if shortened && last_try.is_none() => Some(story.late(next)),
            _ => story.ran_out(),
        }
    })
}

/// Whether a REGISTER was in vain for certain: it was refused, or sent again. What is sent once was answered,
/// and the capture lacks the answer.
fn surely_failed(step: &Step<'_>) -> bool {
    match (final_status(step.view, step.t), step.t.request) {
        (Some(status), Some(_)) => status >= 300,
        (None, Some(request)) => sendings(step.view, request).len() > 1,
        (_, None) => false,
    }
}

/// A registration that was not renewed in time.
struct Story<'s, 'a> {
    client: &'s Client<'a>,
    step: &'s Step<'a>,
    answer: MessageNo,
    seconds: u32,
    end: Timestamp,
    /// The first REGISTER after the end.
    next: Option<&'s Step<'a>>,
    /// The last one before it.
    last_try: Option<&'s Step<'a>>,
}

impl Story<'_, '_> {
    fn finding(&self, meta: &'static Meta, other: Option<&Step<'_>>, summary: String, detail: String) -> Finding {
        let view = self.step.view;
        let first = |step: &Step<'_>| step.t.messages.first().map(|no| step.view.frame(*no));
        let frames = [view.frame(self.answer)].into_iter().chain(other.and_then(first)).collect();
        let mut finding = Finding::new(meta, vec![self.answer], summary, detail).frames(frames);
        finding.call = Some(view.number);
        finding
    }

    /// R05.
    fn late(&self, next: &Step<'_>) -> Finding {
        let view = self.step.view;
        let waited = span(next.time.since(time(view, self.answer)));
        let whom = subject::address(self.client.0);
        let summary = format!(
            "{} granted {whom} {} s; {} renewed after {waited}",
            sender(view, self.answer),
            self.seconds,
            receiver(view, self.answer)
        );
        let detail = format!(
            "The client had asked for more, and goes by its own figure. RFC 3261 10.3 step 7: the registrar may shorten the interval, and \
             10.2.4: the client goes by the 200. For {} {whom} could not be called. Update the client or give it an interval that the \
             registrar grants.",
            span(next.time.since(self.end))
        );
        self.finding(&LATE, Some(next), summary, detail)
    }

    /// R04. A client that is never heard again may have been switched off.
    fn ran_out(&self) -> Option<Finding> {
        let view = self.step.view;
        let whom = subject::address(self.client.0);
        let continued = |next: &Step<'_>| {
            let id = |step: &Step<'_>| step.t.messages.first().map(|no| step.view.sip(*no).call_id().to_vec());
            id(next) == id(self.step) && next.t.cseq > self.step.t.cseq
        };
        let (what, proved) = match (self.last_try, self.next) {
            (Some(tried), _) => {
                let result = match tried.t.final_response {
                    Some(no) => format!("was answered {}", name(tried.view, no)),
                    None => "got no answer".to_owned(),
                };
                let request = tried.t.request?;
                (
                    format!("the REGISTER in frame {} that should have renewed it {result}", tried.view.frame(request)),
                    true,
                )
            }
            (None, Some(next)) => {
                (format!("the client renewed it only {} later", span(next.time.since(self.end))), continued(next))
            }
            (None, None) => ("the client sent no REGISTER any more".to_owned(), false),
        };
        let summary = format!("The registration of {whom} ran out after {} s: {what}", self.seconds);
        let detail = format!(
            "The 200 in frame {} grants {} s. RFC 3261 10.2.4: the client renews before that has passed, or it cannot be called. Look at \
             whether the client was switched off or had another address by then, at its registration interval, and at what lies between it \
             and {}.",
            view.frame(self.answer),
            self.seconds,
            sender(view, self.answer)
        );
        let finding = self.finding(&RAN_OUT, self.last_try.or(self.next), summary, detail);
        Some(match (proved, self.next) {
            (true, _) => finding.cause(if self.last_try.is_some() { Cause::Undetermined } else { Cause::NotSent }),
            (false, Some(_)) => finding.open().cause(Cause::Undetermined),
            (false, None) => finding.open().cause(Cause::Undetermined).severity(Severity::Info),
        })
    }
}

/// R08.
pub(super) struct Overlap;

impl Rule for Overlap {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&OVERLAP];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Register])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        findings.extend(overlap(context.view));
    }
}

/// Told once. A client that registers at several servers, or over several flows, does so side by side.
fn overlap(view: CallView<'_>) -> Option<Finding> {
    type Key<'a> = (&'a [u8], &'a [u8], IpAddr, IpAddr, Option<&'a [u8]>);
    let mut last: HashMap<Key<'_>, (&Transaction, MessageNo), RandomState> = HashMap::default();
    for (_, t, request) in requests_of(view, Method::Register).filter(|(_, t, _)| t.upstream.is_none()) {
        let message = view.sip(request);
        let flow = message.contacts().next().and_then(|contact| contact.param("reg-id"));
        let key = (message.to_uri(), message.from_tag(), t.connection.src.ip, t.connection.dst.ip, flow);
        if let Some((earlier, first)) = last.insert(key, (t, request))
            && earlier.cseq != t.cseq
            && still_open(view, earlier, first, time(view, request))
        {
            return Some(overlapping(view, request, first));
        }
    }
    None
}

/// Whether the REGISTER `first` was without an answer for certain at `now`, and its client still waited:
/// its answer passed later, or it was sent again later. On UDP a request that is not sent again was
/// answered, whatever the capture lacks.
fn still_open(view: CallView<'_>, t: &Transaction, first: MessageNo, now: Timestamp) -> bool {
    /// Packets closer than this may have been swapped by the capture point.
    const SWAPPED: Duration = Duration::from_millis(5);
    let later = |no: MessageNo| time(view, no).since(now) > SWAPPED;
    let waiting = now.since(time(view, first)) < super::facts::TIMEOUT;
    let answered = final_status(view, t).is_some() && t.final_response.is_some_and(|no| !later(no));
    let answered_later = t.final_response.is_some_and(later);
    let resent = t.connection.transport == Transport::Udp && sendings(view, first).into_iter().any(later);
    waiting && !answered && (answered_later || resent)
}

fn overlapping(view: CallView<'_>, request: MessageNo, first: MessageNo) -> Finding {
    let gap = span(time(view, request).since(time(view, first)));
    let [one, two] = [first, request].map(|no| view.sip(no).cseq_number().unwrap_or(0));
    let summary = format!(
        "{} sent REGISTER {two} only {gap} after REGISTER {one}, which was not answered yet",
        sender(view, request)
    );
    let detail = "RFC 3261 10.2: a client sends no new registration before the former one was answered or has timed out; the registrar may \
                  take them in the wrong order. Look at the client's software, and at why the registrar answers slowly.";
    Finding::new(&OVERLAP, vec![request, first], summary, detail)
}
