//! Input that was not understood: recorded, counted, never stopping us.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// What could not be understood, by layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AnomalyKind {
    /// The last record of a file is cut (a capture program that was killed).
    CutLastRecord,
    /// A capture block or record that cannot be right; the rest of the file could not be read.
    DamagedFile,
    /// A block of the capture file that was passed over.
    SkippedBlock,
    /// Records whose time runs backwards.
    TimeBackwards,
    /// A message recorded before the one that caused it, and put behind it.
    Reordered,
    /// Observation points whose clocks differ; the times of one were put back.
    ClocksDiffer,
    /// The clock of the machine was set while a live view listened.
    ClockSet,
    /// Interface statistics say that packets were dropped while capturing.
    DroppedPackets,
    /// A link type that we cannot decode.
    UnknownLinkType,
    /// A frame cut by the snap length.
    CutFrame,
    /// A link, network or transport header that is malformed or cut.
    MalformedHeader,
    /// An encapsulation nested too deeply.
    TunnelDepth,
    /// An IP datagram whose fragments are not all in the capture.
    IncompleteFragments,
    /// IP fragments that overlap or disagree.
    OverlappingFragments,
    /// Bytes of a TCP stream that are not in the capture.
    TcpGap,
    /// Retransmitted TCP bytes that differ from the first ones.
    TcpConflict,
    /// Bytes on a SIP stream or port that are no SIP message.
    NotSip,
    /// A SIP message that is cut short, by snap length, gap or Content-Length.
    CutMessage,
    /// A SIP message without a usable start line or mandatory header.
    MalformedMessage,
    /// TLS that could not be decrypted.
    EncryptedTls,
    /// TLS that a peer ended with an alert.
    TlsAlert,
    /// TLS or WebSocket records that are malformed.
    MalformedRecord,
    /// A table was full: the oldest entry was given up.
    LimitReached,
    /// What came to a HEP listener and was not taken.
    HepRefused,
}

impl AnomalyKind {
    /// Stable name, as in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::CutLastRecord => "cut-last-record",
            Self::DamagedFile => "damaged-file",
            Self::SkippedBlock => "skipped-block",
            Self::TimeBackwards => "time-backwards",
            Self::Reordered => "reordered",
            Self::ClockSet => "clock-set",
            Self::ClocksDiffer => "clocks-differ",
            Self::DroppedPackets => "dropped-packets",
            Self::UnknownLinkType => "unknown-link-type",
            Self::CutFrame => "cut-frame",
            Self::MalformedHeader => "malformed-header",
            Self::TunnelDepth => "tunnel-depth",
            Self::IncompleteFragments => "incomplete-fragments",
            Self::OverlappingFragments => "overlapping-fragments",
            Self::TcpGap => "tcp-gap",
            Self::TcpConflict => "tcp-conflict",
            Self::NotSip => "not-sip",
            Self::CutMessage => "cut-message",
            Self::MalformedMessage => "malformed-message",
            Self::EncryptedTls => "encrypted-tls",
            Self::TlsAlert => "tls-alert",
            Self::MalformedRecord => "malformed-record",
            Self::LimitReached => "limit-reached",
            Self::HepRefused => "hep-refused",
        }
    }
}

/// One thing that was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// Frame, 1-based; 0 when it concerns the file as a whole.
    pub frame: u32,
    /// Byte offset within the frame, the message or, for file anomalies, the file.
    pub offset: u64,
    /// One sentence for people.
    pub text: Cow<'static, str>,
}

impl Anomaly {
    /// An anomaly at `offset` of `frame`.
    pub fn new(kind: AnomalyKind, frame: u32, offset: u64, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, frame, offset, text: text.into() }
    }
}

/// All anomalies of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnomalySummary {
    /// How many.
    pub count: u64,
    /// The first one, with its words.
    pub first: Anomaly,
    /// The frames of the first [`AnomalySummary::FRAMES`] ones.
    pub frames: Vec<u32>,
}

impl AnomalySummary {
    /// How many frames are remembered for each kind.
    pub const FRAMES: usize = 64;
}

/// Anomalies counted by kind; memory does not grow with their number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Anomalies(BTreeMap<AnomalyKind, AnomalySummary>);

impl Anomalies {
    /// Counts one.
    pub fn add(&mut self, anomaly: Anomaly) {
        let frame = anomaly.frame;
        let summary = self.0.entry(anomaly.kind).or_insert_with(|| AnomalySummary {
            count: 0,
            first: anomaly,
            frames: Vec::new(),
        });
        summary.count += 1;
        if frame != 0 && summary.frames.len() < AnomalySummary::FRAMES && summary.frames.last() != Some(&frame) {
            summary.frames.push(frame);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (kind, theirs) in other.0 {
            match self.0.get_mut(&kind) {
                None => {
                    self.0.insert(kind, theirs);
                }
                Some(ours) => {
                    ours.count += theirs.count;
                    let room = AnomalySummary::FRAMES.saturating_sub(ours.frames.len());
                    ours.frames.extend(theirs.frames.into_iter().take(room));
                }
            }
        }
    }

    /// By kind, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (AnomalyKind, &AnomalySummary)> {
        self.0.iter().map(|(kind, summary)| (*kind, summary))
    }

    /// Those of one kind.
    pub fn of(&self, kind: AnomalyKind) -> Option<&AnomalySummary> {
        self.0.get(&kind)
    }

    /// Whether nothing was odd.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
