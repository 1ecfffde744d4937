//! Packets as they leave the capture file, in batches.

use super::Timestamp;
use bytes::Bytes;

/// Link-layer header type of a packet: LINKTYPE_ values as in pcap files (1 = Ethernet, 101 = raw IP, ...).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkType(pub u16);

/// Where one packet lies in its batch, and what the capture says of it. The bytes are not copied.
#[derive(Clone, Copy, Debug)]
pub struct PacketMeta {
    /// Number of the frame in the capture, 1-based as Wireshark shows it (over all merged files).
    pub frame: u32,
    /// Time of capture.
    pub time: Timestamp,
    /// Which of [`Batch::buffers`] holds the bytes.
    pub buffer: u32,
    /// Byte offset of the packet in that buffer.
    pub offset: u64,
    /// Captured bytes.
    pub captured: u32,
    /// Bytes on the wire; more than `captured` when a snap length cut the packet.
    pub original: u32,
    /// Link type of the interface.
    pub link: LinkType,
    /// Observation point: interface, numbered over all files (0 for classic pcap of one file).
    pub interface: u32,
}

/// A run of packets in order of capture, with the buffers that hold their bytes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Mapped files or read buffers; shared, so a message can outlive its batch.
    pub buffers: Vec<Bytes>,
    /// The packets, in order.
    pub packets: Vec<PacketMeta>,
}

impl Batch {
    /// The captured bytes of `packet`; empty if it does not lie within its buffer.
    pub fn data(&self, packet: &PacketMeta) -> &[u8] {
        let start = packet.offset as usize;
        self.buffers
            .get(packet.buffer as usize)
            .and_then(|buffer| buffer.get(start..start.checked_add(packet.captured as usize)?))
            .unwrap_or_default()
    }

    /// The shared buffer behind a slice that [`Batch::data`] returned, without copying.
    ///
    /// # Panics
    /// Never for slices out of this packet's data.
    pub fn share(&self, packet: &PacketMeta, part: &[u8]) -> Bytes {
        match self.buffers.get(packet.buffer as usize) {
            Some(buffer) if !part.is_empty() => buffer.slice_ref(part),
            _ => Bytes::new(),
        }
    }

    /// Forgets packets and buffers, keeps the allocation of the list.
    pub fn clear(&mut self) {
        self.buffers.clear();
        self.packets.clear();
    }
}
