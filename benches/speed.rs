//! Time per message, packet and call. `cargo bench --bench speed [FILTER]`.
#![allow(missing_docs, unreachable_pub, clippy::expect_used)]

#[path = "cases/mod.rs"]
mod cases;
#[path = "cases/harness.rs"]
mod harness;
#[path = "cases/samples.rs"]
mod samples;

use criterion::Criterion;
use harness::Harness;

impl Harness for Criterion {
    fn case<T>(&mut self, name: &str, routine: impl FnMut() -> T) {
        let mut routine = routine;
        self.bench_function(name, |bencher| bencher.iter(&mut routine));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    cases::all(&mut criterion);
    criterion.final_summary();
}
