//! The frames a message came from.

use smallvec::SmallVec;

/// Frame numbers, 1-based as Wireshark shows them, ascending: one for most messages, several for
/// fragments and for messages over many TCP segments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frames(SmallVec<[u32; 2]>);

impl Frames {
    /// A single frame.
    pub fn one(frame: u32) -> Self {
        Self(SmallVec::from_slice(&[frame]))
    }

    /// Adds a frame, unless it is there already.
    pub fn add(&mut self, frame: u32) {
        if let Err(at) = self.0.binary_search(&frame) {
            self.0.insert(at, frame);
        }
    }

    /// All frames, ascending.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// The frame that completed the message (0 when there is none).
    pub fn last(&self) -> u32 {
        self.0.last().copied().unwrap_or(0)
    }

    /// The first frame (0 when there is none).
    pub fn first(&self) -> u32 {
        self.0.first().copied().unwrap_or(0)
    }
}

impl FromIterator<u32> for Frames {
    fn from_iter<I: IntoIterator<Item = u32>>(iter: I) -> Self {
        let mut frames = Self::default();
        iter.into_iter().for_each(|frame| frames.add(frame));
        frames
    }
}
