//! What the inputs of a live view say of themselves, for whoever writes their packets.

use super::{Shared, lock};
use crate::base::LinkType;
use crate::capture::{CaptureInfo, InterfaceInfo};

/// Knows the observation points of packets.
#[derive(Clone, Default)]
pub struct Points(Vec<Shared>);

impl Points {
    pub(super) fn new(inputs: Vec<Shared>) -> Self {
        Self(inputs)
    }

    /// What is known of the one with the number that packets have: of several inputs, that of the input.
    pub fn describe(&self, interface: u32) -> InterfaceInfo {
        let is_one = self.0.len() == 1;
        let input = self.0.get(if is_one { 0 } else { interface as usize });
        let capture = input.and_then(|input| lock(input).captures.first().cloned());
        let capture = capture.as_ref();
        let own = capture.and_then(|capture| capture.interfaces.get(if is_one { interface as usize } else { 0 }));
        own.cloned().unwrap_or_else(|| InterfaceInfo {
            name: capture.filter(|capture| !is_one || is_device(capture)).map(|capture| capture.path.clone()),
            description: None,
            link: LinkType(0),
            packets: 0,
            drops: capture.map_or(0, |capture| capture.drops),
        })
    }
}

/// Not a file or stream of packets that others captured.
fn is_device(capture: &CaptureInfo) -> bool {
    capture.format == "live"
}
