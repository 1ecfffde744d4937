//! The frames a message came from.

use smallvec::SmallVec;

/// Frame numbers, 1-based as Wireshark shows them, ascending: one for most messages, several for
/// fragments and for messages over many TCP segments.
#[derive(Clone, Debug, Default)]
pub struct Frames(Numbers);

/// Half the size of a list for those that are one.
#[derive(Clone, Debug, Default)]
enum Numbers {
    #[default]
    None,
    One(u32),
    Several(Box<SmallVec<[u32; 4]>>),
}

impl Frames {
    /// A single frame.
    pub fn one(frame: u32) -> Self {
        Self(Numbers::One(frame))
    }

    /// Adds a frame, unless it is there already.
    pub fn add(&mut self, frame: u32) {
        match &mut self.0 {
            Numbers::None => self.0 = Numbers::One(frame),
            Numbers::One(known) if *known == frame => {}
            Numbers::One(known) => {
                let pair = [frame.min(*known), frame.max(*known)];
                self.0 = Numbers::Several(Box::new(SmallVec::from_slice(&pair)));
            }
            Numbers::Several(known) => {
                if let Err(at) = known.binary_search(&frame) {
                    known.insert(at, frame);
                }
            }
        }
    }

    /// All frames, ascending.
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Numbers::None => &[],
            Numbers::One(frame) => std::slice::from_ref(frame),
            Numbers::Several(frames) => frames,
        }
    }

    /// The frame that completed the message (0 when there is none).
    pub fn last(&self) -> u32 {
        self.as_slice().last().copied().unwrap_or(0)
    }

    /// The first frame (0 when there is none).
    pub fn first(&self) -> u32 {
        self.as_slice().first().copied().unwrap_or(0)
    }
}

impl PartialEq for Frames {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Frames {}

impl FromIterator<u32> for Frames {
    fn from_iter<I: IntoIterator<Item = u32>>(iter: I) -> Self {
        let mut frames = Self::default();
        iter.into_iter().for_each(|frame| frames.add(frame));
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_ascend_and_stand_once() {
        let frames: Frames = [7, 3, 7, 5, 3, 9, 1, 8].into_iter().collect();
        assert_eq!(frames.as_slice(), [1, 3, 5, 7, 8, 9]);
        assert_eq!((frames.first(), frames.last()), (1, 9));
        assert_eq!([4, 4].into_iter().collect::<Frames>(), Frames::one(4));
        assert_eq!((Frames::default().first(), Frames::default().as_slice()), (0, [].as_slice()));
    }
}
