//! Reads a packet capture and tells what happened in every SIP call and registration.

pub mod base;
