//! Reads packet captures and tells what happened in every SIP call and registration, what is missing,
//! and why.

pub mod analysis;
pub mod base;
pub mod call;
pub mod capture;
pub mod flow;
pub mod net;
pub mod report;
pub mod rules;
pub mod session;
pub mod sip;
