//! What a capture says beside its packets.

/// Comments that a capture carries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remarks {
    /// What people wrote about frames, which ascend.
    pub comments: Vec<(u32, String)>,
}

impl Remarks {
    /// What people wrote about `frame`.
    pub fn on(&self, frame: u32) -> impl Iterator<Item = &str> {
        let first = self.comments.partition_point(|(of, _)| *of < frame);
        let here = self.comments[first..].iter().take_while(move |(of, _)| *of == frame);
        here.map(|(_, text)| text.as_str())
    }
}
