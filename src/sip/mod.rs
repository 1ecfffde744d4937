//! SIP messages: found in bytes, cut out of streams, and read without copying.
//!
//! Three steps that know nothing of each other's neighbours: [`probe`] and [`Framer`] say where a
//! message begins and ends, [`Message::parse`] notes in one pass where the parts lie that every
//! message is asked for, and the typed values ([`Via`], [`Address`], [`Uri`], [`Sdp`], ...) are read
//! when somebody asks. Nothing here fails: what cannot be read is kept, and [`Message::faults`]
//! points at it. No state of calls, no packets.

mod address;
mod auth;
mod body;
mod digest;
mod facts;
mod fault;
mod framing;
mod grammar;
mod header;
mod hot;
mod kept;
mod message;
mod method;
mod passport;
mod reading;
mod sdp;
mod start;
mod syntax;
mod typed;
mod uri;
mod values;
mod via;

pub use address::Address;
pub use auth::{Challenge, Credentials};
pub use body::{Part, Parts};
pub use digest::{Algorithm, Calculation, Secret};
pub use facts::Facts;
pub use fault::{Fault, FaultSeverity};
pub use framing::{Framed, Framer, Probe, probe};
pub use header::{Header, HeaderName, Headers};
pub use message::Message;
pub use method::Method;
pub use passport::Passport;
pub use sdp::{Direction, Media, Origin, RtpMap, Sdp};
pub use typed::Fragment;
pub use uri::Uri;
pub use values::{Event, RAck, Reason, Refresher, Replaces, RetryAfter, SessionExpires, SubscriptionState, Warning};
pub use via::Via;
