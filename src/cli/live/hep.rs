//! HEP: agents that send it to us, and a collector that we send it to.

use super::clock::{clock_on_the_wall, wall};
use super::tap::Tap;
use crate::base::Error;
use crate::capture::{HepSettings, HepTransport, Live, TlsFiles, tls_server};
use crate::cli::args::HepArgs;
use crate::cli::log::{self, Level};
use crate::export::{self, Collector, CollectorAddress, TlsClient};
use crate::report::count;
use crate::session::Seen;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// Takes what agents send to these addresses; the addresses, in words.
pub(super) fn listen(args: &HepArgs, live: &mut Live) -> Result<Vec<String>, Error> {
    let is_tls = args.hep_listen.iter().any(|address| address.transport == HepTransport::Tls);
    let tls = match (&args.hep_cert, &args.hep_cert_key) {
        (Some(certificates), Some(key)) => {
            Some(tls_server(&TlsFiles { certificates: certificates.clone(), key: key.clone() })?)
        }
        _ if is_tls => return Err(Error::Usage("--hep-listen tls: needs --hep-cert and --hep-cert-key".to_owned())),
        _ => None,
    };
    let pack = export::hep_taker(key(args)?);
    let settings = HepSettings { pack, tls, wall, steady };
    let bound = args.hep_listen.iter().map(|address| live.take_hep(*address, &settings));
    bound.map(|address| Ok(format!("hep {}", address?))).collect()
}

/// Time on a clock that nobody sets, since it was first asked.
fn steady() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    clock_on_the_wall().saturating_duration_since(*FIRST.get_or_init(clock_on_the_wall))
}

/// The first line of the file.
fn key(args: &HepArgs) -> Result<Option<Vec<u8>>, Error> {
    let Some(path) = &args.hep_key_file else {
        return Ok(None);
    };
    let text = fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    if line.is_empty() {
        return Err(Error::Usage(format!("{}: the first line is empty, and should be the key", path.display())));
    }
    Ok(Some(line.to_vec()))
}

/// Whom messages are sent to, before rights are given up.
pub(super) struct Plan {
    name: CollectorAddress,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsClient>,
    agent: u32,
    key: Vec<u8>,
}

impl Plan {
    pub(super) fn of(args: &HepArgs) -> Result<Option<Self>, Error> {
        let Some(name) = &args.hep_send else {
            return Ok(None);
        };
        let is_tls = name.transport == HepTransport::Tls;
        let tls = is_tls.then(|| name.tls(args.hep_ca.as_deref())).transpose()?;
        let (addresses, key) = (name.look_up()?, key(args)?.unwrap_or_default());
        let is_ours = |address: &SocketAddr| args.hep_listen.iter().any(|ours| ours.address == *address);
        if let Some(ours) = addresses.iter().find(|address| is_ours(address)) {
            return Err(Error::Usage(format!("--hep-send {name}: {ours} is where --hep-listen takes it from")));
        }
        Ok(Some(Self { name: name.clone(), addresses, tls, agent: args.hep_id, key }))
    }

    /// A filter that keeps what we send from being captured, and sent again, and again.
    pub(super) fn filter(&self, filter: &str) -> String {
        let ours: Vec<String> = self
            .addresses
            .iter()
            .map(|address| format!("not (dst host {} and dst port {})", address.ip(), address.port()))
            .collect();
        let ours = ours.join(" and ");
        if filter.is_empty() { ours } else { format!("({filter}) and {ours}") }
    }

    /// The port of a connection.
    pub(super) fn port(&self) -> Option<u16> {
        (self.name.transport != HepTransport::Udp).then_some(self.name.port)
    }

    /// Starts sending.
    pub(super) fn start(self) -> Box<dyn Tap> {
        let collector = Collector::start(self.name, self.addresses, self.tls);
        Box::new(Sending { collector: Some(collector), agent: self.agent, key: self.key })
    }
}

struct Sending {
    collector: Option<Collector>,
    agent: u32,
    key: Vec<u8>,
}

impl Tap for Sending {
    fn messages(&mut self, messages: &[Seen]) {
        if let Some(collector) = &mut self.collector {
            for seen in messages {
                collector.send(export::hep_packet(seen, self.agent, &self.key));
            }
        }
    }

    fn troubles(&mut self) -> Vec<String> {
        self.collector.as_ref().map(Collector::troubles).unwrap_or_default()
    }

    fn fault(&self) -> Option<String> {
        self.collector.as_ref().and_then(Collector::fault)
    }

    fn end(&mut self) -> bool {
        let Some((sent, lost)) = self.collector.take().map(Collector::finish) else {
            return true;
        };
        if lost > 0 {
            let text = format!("{} not sent to the HEP collector; {sent} are", count(lost as usize, "message"));
            log::tell(Level::Warning, "hep-lost", &text, &[]);
        }
        lost == 0
    }
}
