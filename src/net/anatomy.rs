//! Where the headers of a frame lie, for whoever rewrites it. A second walk over the few frames that
//! are asked for, as in `outer.rs`.

use super::ip::Header;
use super::link;
use super::walk::{self, Next, Part, Trace};
use crate::base::LinkType;
use smallvec::SmallVec;

/// A header within a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Ethernet in a tunnel, at this offset.
    Ethernet(usize),
    /// IPv4 or IPv6, at this offset.
    Ip(usize),
    /// What an IP header carries: protocol and offset.
    Transport(u8, usize),
}

/// The headers of `data` from the outermost in, without that of the link layer, as far as they are understood.
pub fn anatomy(link: LinkType, data: &[u8]) -> SmallVec<[Piece; 4]> {
    let mut part = Part { bytes: data, missing: 0 };
    let mut trace = Offsets { start: data.as_ptr().addr(), pieces: SmallVec::new() };
    if let Some(Ok(next)) = link::row(link).map(|strip| strip(&mut part)) {
        let _ = walk::walk(&mut part, &mut Header::NONE.clone(), next, &mut trace);
    }
    trace.pieces
}

struct Offsets {
    start: usize,
    pieces: SmallVec<[Piece; 4]>,
}

impl Trace for Offsets {
    fn pass(&mut self, next: Next, part: &Part<'_>, _: &Header) {
        let at = part.bytes.as_ptr().addr().saturating_sub(self.start);
        match next {
            Next::EtherType(link::BRIDGED) => self.pieces.push(Piece::Ethernet(at)),
            Next::Ip => self.pieces.push(Piece::Ip(at)),
            // IPv4 and IPv6 have EtherTypes and come as IP next; tunnels over IP are passed as protocols first.
            Next::Protocol(protocol) => self.pieces.push(Piece::Transport(protocol, at)),
            _ => {}
        }
    }
}
