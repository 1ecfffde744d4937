//! A message as JSON. Written field by field, and not as a view through serde: there may be a million, and that costs
//! three times as much (docs/performance.md).

use super::json::number;
use super::json_layout::{Writer, first, next};
use super::{time, words};
use crate::analysis::{CallView, response_time};
use crate::call::CallMessage;
use crate::flow::FlowMatch;
use crate::session::{CopyKind, MessageNo, Seen};
use crate::sip::{Message, Method};
use std::borrow::Cow;

pub(super) fn write_message(view: CallView<'_>, flow: Option<&FlowMatch>, no: MessageNo, out: &mut Writer<'_>) {
    let (seen, place) = (view.seen(no), view.call.message(no));
    out.begin_object();
    first!(out, "n");
    out.number(number(no));
    next!(out, "frames");
    out.row(seen.frames.as_slice(), |out, frame| out.number(*frame));
    next!(out, open "time");
    out.text().extend_from_slice(time::rfc3339(seen.time).as_bytes());
    next!(out, close "from");
    out.who(place.from);
    next!(out, "to");
    out.who(place.to);
    next!(out, open "transport");
    out.raw(seen.connection.transport.name());
    said(&seen.message, out);
    copy_and_step(place, out);
    let step = flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten());
    out.maybe(step, Writer::string);
    around(view, no, seen, out);
    next!(out, "response_time");
    out.maybe(response_time(view, no), Writer::millis);
    if let Some(point) = words::unseen_at(view, no) {
        next!(out, "unseen_at");
        out.string(point);
    }
    out.end(b'}');
}

/// What the message itself says, behind a string that is open; leaves one open.
fn said(message: &Message, out: &mut Writer<'_>) {
    let method = MethodName::of(message);
    if message.is_request() {
        next!(out, close open ["kind": "\"request\""] "method");
        method.write(out);
        next!(out, close ["status": "null", "reason": "null"] "cseq");
    } else {
        next!(out, close open ["kind": "\"response\""] "method");
        method.write(out);
        next!(out, close "status");
        out.maybe(message.status(), Writer::number);
        next!(out, open "reason");
        out.part(message.reason());
        next!(out, close "cseq");
    }
    if let Some(number) = message.cseq_number() {
        out.raw("\"");
        out.number(number);
        out.raw(" ");
        method.write(out);
        next!(out, close open "call_id");
    } else {
        out.raw("null");
        next!(out, open "call_id");
    }
    out.part(message.call_id());
}

/// The name of a method, of which those that are known need no escape.
enum MethodName<'a> {
    Known(&'static str),
    Other(Cow<'a, str>),
}

impl MethodName<'_> {
    fn of(message: &Message) -> MethodName<'_> {
        match message.method() {
            Method::Other => MethodName::Other(message.method_name()),
            known => MethodName::Known(known.name()),
        }
    }

    /// Part of a string.
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Known(name) => out.raw(name),
            Self::Other(name) => out.fragment(name),
        }
    }
}

/// What it repeats, behind a string that is open, and the name of the field behind that.
fn copy_and_step(place: &CallMessage, out: &mut Writer<'_>) {
    let Some(copy) = place.copy else {
        return next!(out, close ["copy": "null"] "step");
    };
    next!(out, close "copy");
    out.word(match copy.kind {
        CopyKind::Retransmission => "retransmission",
        CopyKind::CapturedTwice => "captured-twice",
    });
    next!(out, "of");
    out.number(number(copy.of));
    next!(out, "step");
}

/// What it was wrapped in, and what people wrote about it.
fn around(view: CallView<'_>, no: MessageNo, seen: &Seen, out: &mut Writer<'_>) {
    if let Some(wrapping) = view.analysis.wrapping(seen) {
        next!(out, "inside");
        out.string(wrapping);
    }
    if view.analysis.remarks.comments.is_empty() {
        return;
    }
    let mut comments = view.comments(no).peekable();
    if comments.peek().is_some() {
        next!(out, "comments");
        out.row(comments, Writer::string);
    }
}
