//! Names of addresses that captures carry.

use crate::base::limits;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Names of addresses, as the capturing side resolved them; the first name of each stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(BTreeMap<IpAddr, String>);

impl Names {
    /// The longest name of the DNS (RFC 1035 2.3.4), dots included.
    const LONGEST: usize = 255;

    /// The name of `address`.
    pub fn get(&self, address: IpAddr) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.0.iter().map(|(address, name)| (*address, name.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a name, unless there are too many; what is no text is replaced.
    pub(super) fn add(&mut self, address: IpAddr, name: &[u8]) {
        if self.0.len() < limits::CAPTURE_NAMES && !name.is_empty() {
            let name = name.get(..Self::LONGEST).unwrap_or(name);
            self.0.entry(address).or_insert_with(|| String::from_utf8_lossy(name).into_owned());
        }
    }

    /// Adds all of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        for (address, name) in other.0 {
            if self.0.len() < limits::CAPTURE_NAMES {
                self.0.entry(address).or_insert(name);
            }
        }
    }
}
