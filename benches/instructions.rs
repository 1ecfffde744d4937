//! Instructions per message, packet and call. `cargo bench --bench instructions`; needs valgrind. With `-- --check` they are
//! compared with those of `benches/instructions.txt`, with `-- --record` written there.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing)]

#[path = "cases/mod.rs"]
mod cases;
#[path = "cases/count.rs"]
mod count;
#[path = "cases/harness.rs"]
mod harness;
#[path = "cases/record.rs"]
mod record;
#[path = "cases/samples.rs"]
mod samples;

fn main() -> std::process::ExitCode {
    let mut count = count::Count::from_args();
    cases::all(&mut count);
    count.end()
}
