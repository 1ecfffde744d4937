//! Everything that is tested from outside: one binary, one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs, unreachable_pub, dead_code)]

mod architecture;
mod bad_input;
mod captures;
mod cli;
mod determinism;
mod docs;
mod hostile;
mod order;
mod rules;
mod scaling;
mod support;
