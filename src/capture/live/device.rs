//! Interfaces as libpcap knows them: which there are, and how one is opened.

use super::right;
use crate::base::Error;
use crate::capture::filter::{self, reason};
use pcap::{Active, Capture, Device};
use std::net::IpAddr;
use std::time::Duration;

/// How long the kernel may collect packets before it hands them over, and how old a batch may get.
pub(super) const COLLECT: Duration = Duration::from_millis(100);
/// The interface that is all of them.
pub(super) const ANY: &str = "any";

/// How to listen on interfaces.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes taken of each packet.
    pub snaplen: i32,
    /// Bytes of the kernel's buffer for each interface.
    pub ring: i32,
    /// Whether to take packets that are for other machines.
    pub promiscuous: bool,
    /// Whether to take each packet at once.
    pub immediate: bool,
    /// A filter in libpcap's language; empty for all packets.
    pub filter: String,
}

/// What the system says of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// As `-i` takes it.
    pub name: String,
    /// In the system's words; often empty.
    pub description: String,
    /// Whether it was switched on. One that is not cannot be listened on.
    pub is_up: bool,
    /// Whether packets can pass: there is a cable, or another end.
    pub is_running: bool,
    /// Its own, in the system's order.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces there are.
///
/// # Errors
/// [`Error::Device`] when the system does not tell.
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    let all = Device::list().map_err(|why| Error::Device { name: "interfaces".to_owned(), why: reason(&why) })?;
    let told = |device: Device| Interface {
        name: device.name,
        description: device.desc.unwrap_or_default(),
        is_up: device.flags.is_up(),
        is_running: device.flags.is_running(),
        addresses: device.addresses.into_iter().map(|address| address.addr).collect(),
    };
    Ok(all.into_iter().map(told).collect())
}

/// Opens one of the interfaces there are.
pub(super) fn open(name: &str, settings: &Settings) -> Result<Capture<Active>, Error> {
    let known = interfaces()?;
    if name != ANY && known.iter().all(|known| known.name != name) {
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        return Err(Error::Usage(format!("there is no interface '{name}'; there are: {}", names.join(", "))));
    }
    right::with(|| activate(name, settings))
}

/// Opens the interface of this name.
pub(super) fn activate(name: &str, settings: &Settings) -> Result<Capture<Active>, Error> {
    let failed = |why: &pcap::Error| Error::Device { name: name.to_owned(), why: advice(&reason(why)) };
    let activate = |promiscuous: bool| {
        Capture::from_device(name)?
            .snaplen(settings.snaplen)
            .buffer_size(settings.ring)
            .promisc(promiscuous)
            .immediate_mode(settings.immediate)
            .timeout(COLLECT.as_millis() as i32)
            .open()
    };
    // Some interfaces know nothing of promiscuity, among them the one that is all.
    let mut device = match activate(settings.promiscuous && name != ANY) {
        Err(_) if settings.promiscuous => activate(false),
        opened => opened,
    }
    .map_err(|why| failed(&why))?;
    if !settings.filter.is_empty() {
        filter::set(&mut device, &settings.filter)?;
    }
    // Where the kernel fills its buffer by blocks, waiting for packets would last until there is one.
    device.setnonblock().map_err(|why| failed(&why))
}

/// libpcap's words, and what to do when it is rights that lack.
fn advice(why: &str) -> String {
    if !lacks_rights(why) {
        return why.to_owned();
    }
    format!(
        "{why}. Listening takes the right CAP_NET_RAW. Run it as root, or give the program that right: \
         sudo setcap cap_net_raw+ep \"$(command -v callflow)\""
    )
}

/// Whether these words say that rights lack.
pub(super) fn lacks_rights(why: &str) -> bool {
    ["permi", "Permi", "EPERM"].iter().any(|word| why.contains(word))
}

/// What the interface of this name is to the kernel, which knows it by number; `None` where there is none.
#[cfg(target_os = "linux")]
pub(super) fn number_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// What the interface with this number is called now.
#[cfg(target_os = "linux")]
pub(super) fn name_of(number: u32) -> Option<String> {
    // One that goes away just now has an empty name.
    nix::net::if_::if_indextoname(number).ok()?.into_string().ok().filter(|name| !name.is_empty())
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn number_of(_name: &str) -> Option<u32> {
    None
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn name_of(_number: u32) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_told_with_the_way_to_get_them() {
        assert!(advice("socket: Operation not permitted").contains("setcap cap_net_raw+ep"));
        assert_eq!(advice("The interface is not up"), "The interface is not up");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_interface_has_a_number_and_a_name() {
        let number = number_of("lo").unwrap();
        assert_eq!(name_of(number).as_deref(), Some("lo"));
        assert_eq!(number_of("no-such-interface0"), None);
    }
}
