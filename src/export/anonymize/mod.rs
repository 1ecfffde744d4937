//! Gives other names to everybody in a packet or message: users, numbers, hosts, addresses, identifiers.
//! Lengths stay, so that everything that counts them stays right. docs/export.md says what becomes of what.

mod key;
mod message;
mod packet;
mod sdp;
mod text;
mod vocabulary;

pub use key::Namer;
pub(super) use message::message;
pub(super) use packet::{Content, ends, packet, whole};
pub(super) use text::fill;
