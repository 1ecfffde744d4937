//! The same bytes through callflow and through other parsers of SIP, in time and in instructions: `cargo bench`
//! in this folder; needs valgrind.
//!
//! Hot path: method, branch, tags, Call-ID, CSeq and Content-Length. In full: every header that the parser
//! has a type for, and the session description. What is read is checked once.

#[path = "../../cases/count.rs"]
mod count;
#[path = "../../cases/harness.rs"]
mod harness;
mod parsers;
#[path = "../../cases/samples.rs"]
#[allow(dead_code)]
mod samples;

use count::Count;
use harness::Harness;
use std::hint::black_box;
use std::time::Instant;

/// What every message is asked for.
#[derive(PartialEq, Eq, Debug)]
pub struct Hot {
    method: String,
    branch: String,
    from_tag: String,
    to_tag: String,
    call_id: String,
    cseq: u32,
    content_length: u32,
}

/// Prints the best of many times.
struct Clock;

impl Harness for Clock {
    fn case<T>(&mut self, name: &str, mut routine: impl FnMut() -> T) {
        const TIMES: u32 = 2000;
        let mut best = f64::MAX;
        for _ in 0..100 {
            let start = Instant::now();
            (0..TIMES).for_each(|_| drop(black_box(routine())));
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(TIMES));
        }
        println!("{best:>9.0} ns  {name}");
    }
}

fn main() {
    let mut count = Count::from_args();
    if !matches!(count, Count::One { .. }) {
        parsers::agree();
    }
    if matches!(count, Count::All) {
        parsers::all(&mut Clock);
    }
    parsers::all(&mut count);
}
