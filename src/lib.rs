//! Reads packet captures and tells what happened in every SIP call and registration, what is missing,
//! and why.
//!
//! The way of a packet: [`capture`] reads it from a file, [`analysis::Analyzer`] turns packets into calls
//! (with [`net`] for links, IP, TCP and TLS, [`sip`] for messages, [`session`] for transactions and
//! dialogs, [`call`] for what belongs together), [`flow`] compares each call with the reference flows
//! of BCP 75 (RFC 3665), [`rules`] report deviations, [`story`] tells legs that are one call as one,
//! [`export`] writes their packets,
//! [`report`] writes them down. [`cli`] is the
//! program. Each module names only those before it; docs/ARCHITECTURE.md has the map.
//!
//! ```
//! use callflow::analysis::{Analyzer, Options};
//! use callflow::base::Batch;
//! use callflow::capture::{self, More};
//! use callflow::story::{self, Story};
//! use callflow::{flow, rules};
//!
//! let path = "testdata/captures/a05-register-wrong-password.pcap";
//! let mut source = capture::open(&[path.into()]).source;
//! let mut analyzer = Analyzer::new(Options::default());
//! let mut batch = Batch::default();
//! while source.next_batch(&mut batch)? == More::More {
//!     analyzer.push(&batch);
//! }
//! let analysis = analyzer.finish();
//! let flows = flow::match_all(&analysis);
//! let findings = rules::check(&analysis, &flows);
//! let Story { flows, findings, .. } = story::tell(analysis, flows, findings);
//!
//! assert_eq!(flows[0].flow, Some("bcp75/2.5"));
//! assert_eq!(findings[0].rule.name, "credentials-refused");
//! # Ok::<(), callflow::base::Error>(())
//! ```

#[cfg(test)]
extern crate self as callflow; // what tests/it/support shares with unit tests names the crate

pub mod analysis;
pub mod base;
pub mod call;
pub mod capture;
pub mod cli;
pub mod export;
pub mod flow;
#[doc(hidden)]
pub mod fuzzing;
pub mod net;
pub mod report;
pub mod rules;
pub mod session;
pub mod sip;
pub mod story;
