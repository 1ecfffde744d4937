//! Everything that is tested from outside: one binary, one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs, unreachable_pub, dead_code)]

mod architecture;
mod captures;
mod cli;
mod determinism;
mod hostile;
mod rules;
mod support;
