//! What stops us. (What does not: [`crate::base::Anomaly`]. What a peer did wrong: a finding.)

use std::path::PathBuf;
use thiserror::Error as ThisError;

/// We cannot go on with a file, an argument or a flow.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A file or folder could not be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// As the user gave it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no capture that we know.
    #[error("{}: not a capture file: {why}", path.display())]
    NotACapture {
        /// As the user gave it.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// A folder holds no capture.
    #[error("{}: no capture file in this folder", path.display())]
    NoCaptures {
        /// As the user gave it.
        path: PathBuf,
    },
    /// An interface cannot be listened on.
    #[error("{name}: {why}")]
    Device {
        /// As the user gave it.
        name: String,
        /// libpcap's words, and what to do.
        why: String,
    },
    /// A packet filter that libpcap does not accept.
    #[error("filter '{expression}': {why}")]
    Filter {
        /// As the user gave it.
        expression: String,
        /// libpcap's words.
        why: String,
    },
    /// A .flow text that does not parse.
    #[error("{name}:{line}:{column}: {why}")]
    FlowSyntax {
        /// File or flow.
        name: String,
        /// 1-based.
        line: usize,
        /// 1-based, in characters.
        column: usize,
        /// What was expected.
        why: String,
    },
    /// An argument that is well-formed but means nothing here.
    #[error("{0}")]
    Usage(String),
}
