//! Instructions per message, packet and call. `cargo bench --bench instructions`; needs valgrind.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing)]

#[path = "cases/mod.rs"]
mod cases;
#[path = "cases/count.rs"]
mod count;
#[path = "cases/harness.rs"]
mod harness;
#[path = "cases/samples.rs"]
mod samples;

fn main() {
    cases::all(&mut count::Count::from_args());
}
