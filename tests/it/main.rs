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
mod beyond;
mod captures;
mod cli;
mod columns;
mod config;
mod containers;
mod coverage;
mod determinism;
mod digest;
mod docs;
mod encapsulations;
mod evidence;
mod export;
mod follow;
mod formats;
mod hep_live;
mod hostile;
mod ladders;
mod legs;
mod live;
mod live_rights;
mod looks;
mod matrix;
mod messages;
mod model;
mod ops;
mod order;
mod participants;
mod points;
mod population;
mod properties;
mod recipes;
mod rules;
mod scaling;
mod secured;
mod shell;
mod story;
mod streamed;
mod support;
mod tables;
mod torture;
