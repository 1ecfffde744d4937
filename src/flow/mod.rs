//! Reference flows, and how a call compares with them.
//!
//! ```text
//! .flow text --syntax--> ReferenceFlow --automaton--> one automaton per hop   (catalog: once)
//! Call --observed--> its messages by hop, and facts about the whole (facts, features, media)
//! facts choose the flows (`when`), each hop becomes a string of tokens of a flow's alphabet, align reads it at
//! least cost, compare picks the flow and the more special one, cause says why what is missing is missing
//! ```

mod align;
mod automaton;
mod beyond;
mod catalog;
pub mod cause;
mod compare;
mod diff;
mod fact;
mod facts;
mod features;
mod learn;
mod matching;
mod media;
mod model;
mod observed;
mod print;
mod replay;
mod stable;
mod syntax;
mod token;
mod witness;
mod words;

pub use beyond::BEYOND;
pub use catalog::{BCP75, Catalog};
pub use cause::{Absent, Judgement, judge};
pub use compare::{Matcher, match_all, match_all_with, match_call};
pub use diff::{COMPARED, Change, Row, diff, pair};
pub use fact::Fact;
pub use learn::{CannotLearn, learn};
pub use matching::{Cause, FlowMatch, Missing, Special, Verdict};
pub use model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
pub use syntax::parse;
pub use token::{Contact, Token, Verb};
pub use witness::habit_in_words;

#[cfg(test)]
mod fact_tests;
#[cfg(test)]
mod special_tests;
#[cfg(test)]
mod tests;
