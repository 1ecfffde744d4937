//! A message as JSON. Written field by field, and not as a view through serde: there may be a million, and that costs
//! three times as much (docs/performance.md).

use super::json::number;
use super::json_layout::{Writer, first, next};
use super::words;
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
    next!(out, "time");
    out.time(seen.time);
    next!(out, "from");
    out.who(place.from);
    next!(out, "to");
    out.who(place.to);
    next!(out, "transport");
    out.word(seen.connection.transport.name());
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

/// What the message itself says.
fn said(message: &Message, out: &mut Writer<'_>) {
    let method = MethodName::of(message);
    if message.is_request() {
        next!(out, ["kind": "\"request\""] "method");
        method.write_string(out);
        next!(out, ["status": "null", "reason": "null"] "cseq");
    } else {
        next!(out, ["kind": "\"response\""] "method");
        method.write_string(out);
        next!(out, "status");
        out.maybe(message.status(), Writer::number);
        next!(out, "reason");
        out.bytes(message.reason());
        next!(out, "cseq");
    }
    out.maybe(message.cseq_number(), |out, number| {
        out.raw("\"");
        out.number(number);
        out.raw(" ");
        method.write(out);
        out.raw("\"");
    });
    next!(out, "call_id");
    out.bytes(message.call_id());
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

    fn write_string(&self, out: &mut Writer<'_>) {
        out.raw("\"");
        self.write(out);
        out.raw("\"");
    }

    /// Part of a string.
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Known(name) => out.raw(name),
            Self::Other(name) => out.fragment(name),
        }
    }
}

/// What it repeats, and the name of the field behind that.
fn copy_and_step(place: &CallMessage, out: &mut Writer<'_>) {
    let Some(copy) = place.copy else {
        return next!(out, ["copy": "null"] "step");
    };
    next!(out, "copy");
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
