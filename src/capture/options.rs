//! Names and comments in pcapng: options of blocks, and the records of name resolution blocks.
//! Both are lists of a code, a length and a padded value.

use super::Names;
use super::record::Order;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Walks over options or records, up to the one that ends them or the first that is cut.
pub(super) struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    pub(super) fn new(order: Order, rest: &'a [u8]) -> Self {
        Self { order, rest }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16_at(self.rest, 0).filter(|code| *code != 0)?;
        let length = usize::from(self.order.u16_at(self.rest, 2)?);
        let value = self.rest.get(4..4 + length)?;
        let padded = 4 + length.next_multiple_of(4);
        self.rest = self.rest.get(padded..).unwrap_or_default();
        Some((code, value))
    }
}

/// Keeps the names of a name resolution block, given its body.
pub(super) fn keep_names(order: Order, body: &[u8], names: &mut Names) {
    const IPV4: u16 = 1;
    const IPV6: u16 = 2;
    for (kind, value) in Options::new(order, body) {
        let found = match kind {
            IPV4 => value.split_first_chunk().map(|(ip, list)| (Ipv4Addr::from(*ip).into(), list)),
            IPV6 => value.split_first_chunk().map(|(ip, list)| (Ipv6Addr::from(*ip).into(), list)),
            _ => None,
        };
        let Some((address, list)) = found else {
            continue;
        };
        // Several names may follow each other, each ended by a zero.
        names.add(address, list.split(|byte| *byte == 0).next().unwrap_or_default());
    }
}
