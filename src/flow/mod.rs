//! Reference flows, and how a call compares with them.
//!
//! ```text
//! .flow text --syntax--> ReferenceFlow --automaton--> one automaton per hop   (catalog: once)
//! Call --observed--> one string of tokens per hop, and facts about the whole
//! facts choose the flow (`when`), align reads each hop at least cost, compare puts them together,
//! cause says why what is missing is missing
//! ```

mod align;
mod automaton;
mod catalog;
pub mod cause;
mod compare;
mod diff;
mod facts;
mod learn;
mod matching;
mod model;
mod observed;
mod print;
mod replay;
mod stable;
mod syntax;
mod token;
mod witness;

pub use catalog::{BCP75, Catalog};
pub use cause::{Absent, Judgement, judge};
pub use compare::{Matcher, match_all, match_all_with, match_call};
pub use diff::{COMPARED, Change, Row, diff, pair};
pub use facts::Fact;
pub use learn::{CannotLearn, learn};
pub use matching::{Cause, FlowMatch, Missing, Verdict};
pub use model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
pub use syntax::parse;
pub use token::{Contact, Token, Verb};
pub use witness::habit_in_words;

#[cfg(test)]
mod tests;
