//! The reference flow of a call, and the steps of it that are missing, in JSON. Written field by field, as messages are.

use super::json::number;
use super::json_layout::{Writer, first, next};
use crate::flow::{FlowMatch, Missing, Special};
use crate::session::MessageNo;
use std::io;

pub(super) fn write_reference(out: &mut Writer<'_>, flow: &FlowMatch) -> io::Result<()> {
    out.begin_object();
    first!(out, "flow");
    out.maybe(flow.flow, Writer::string);
    next!(out, "title");
    out.maybe(flow.flow.map(|_| flow.title), Writer::string);
    compared(flow.cost, flow.complete, &flow.missing, &flow.unexpected, out)?;
    next!(out, "special");
    match &flow.special {
        Some(special) => write_special(out, special)?,
        None => out.raw("null"),
    }
    out.end(b'}');
    Ok(())
}

/// The more special flow of a call.
fn write_special(out: &mut Writer<'_>, special: &Special) -> io::Result<()> {
    out.begin_object();
    first!(out, "flow");
    out.string(special.name);
    next!(out, "title");
    out.string(special.title);
    next!(out, "section");
    out.maybe((!special.section.is_empty()).then_some(special.section), Writer::string);
    compared(special.cost, special.complete, &special.missing, &special.unexpected, out)?;
    out.end(b'}');
    Ok(())
}

fn compared(
    cost: u32,
    complete: bool,
    missing: &[Missing],
    unexpected: &[MessageNo],
    out: &mut Writer<'_>,
) -> io::Result<()> {
    next!(out, "cost");
    out.number(cost);
    next!(out, "complete");
    out.bool(complete);
    next!(out, "missing");
    out.each(missing, |out, missing| {
        write_missing(out, missing);
        Ok(())
    })?;
    next!(out, "unexpected");
    out.row(unexpected, |out, no| out.number(number(*no)));
    Ok(())
}

fn write_missing(out: &mut Writer<'_>, missing: &Missing) {
    out.begin_object();
    first!(out, "step");
    out.maybe((!missing.step.is_empty()).then_some(missing.step.as_str()), Writer::string);
    next!(out, "what");
    out.string(&missing.what);
    next!(out, "from");
    out.who(missing.from);
    next!(out, "to");
    out.who(missing.to);
    next!(out, "after");
    out.maybe(missing.after.map(number), Writer::number);
    next!(out, "cause");
    out.word(missing.cause.name());
    next!(out, "evidence");
    out.string(&missing.evidence);
    out.end(b'}');
}
