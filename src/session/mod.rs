//! RFC 3261 state, seen passively: transactions and dialogs of one group of messages.
//!
//! Everything here is a pure function of the messages of one call, in order of capture. That lets
//! calls be judged on all cores, and a live view simply judges a call again when it has changed.

mod copies;
mod dialog;
mod few;
mod seen;
pub mod timer;
mod transaction;
mod usage;

pub use copies::{Copy, CopyKind, SAME_INSTANT};
pub use dialog::{Dialog, DialogState, Numbers, Side, Target, find_dialogs};
pub(crate) use few::FewMap;
pub use seen::{MessageNo, Seen, Sending};
pub use transaction::{State, Transaction, Transactions, find_transactions};
pub use usage::{Usage, UsageKind, Usages};
