//! Everything that is tested from outside: one binary, one module per subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod architecture;
mod bad_input;
mod captures;
mod cli;
mod columns;
mod containers;
mod coverage;
mod determinism;
mod digest;
mod docs;
mod encapsulations;
mod follow;
mod hostile;
mod legs;
mod matrix;
mod messages;
mod model;
mod order;
mod participants;
mod points;
mod rules;
mod scaling;
mod secured;
mod story;
mod support;
mod torture;
