//! Which of the TLS connections that could not be read may have carried SIP. HTTPS is everywhere and
//! concerns nobody here; a phone's one TLS connection to its registrar does.

use super::coverage::{Counted, Coverage, PacketKind};
use crate::base::{Anomalies, Anomaly, AnomalyKind, limits};
use crate::net::{Offer, SealedTls};
use std::collections::HashSet;
use std::net::IpAddr;

/// Ports of SIP over TLS, the registered one (5061) and those that people choose beside it.
const SIP_PORTS: std::ops::RangeInclusive<u16> = 5060..=5099;
/// Ports of WebSocket are those of HTTPS, and above the well-known ones anything goes.
const HTTPS: u16 = 443;
const WELL_KNOWN: u16 = 1024;

/// Connections that could not be read, kept until all that speak SIP are known.
#[derive(Default)]
pub(super) struct Sealed(Vec<(Counted, Box<SealedTls>)>);

impl Sealed {
    /// Takes the next one; one that can be judged without knowing more is not kept.
    pub(super) fn push(&mut self, counted: Counted, tls: Box<SealedTls>, coverage: &mut Coverage) {
        if tls.offer == Offer::Other && !tls.wrong_keys || self.0.len() >= limits::SEALED_CONNECTIONS {
            coverage.add_all(PacketKind::OtherTls, counted);
        } else {
            self.0.push((counted, tls));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts all, and tells those that may be SIP. `speakers`: hosts that speak SIP elsewhere.
    pub(super) fn judge(
        mut self,
        speakers: &HashSet<IpAddr>,
        sip_ports: &[u16],
        coverage: &mut Coverage,
        anomalies: &mut Anomalies,
    ) {
        self.0.sort_by_key(|(_, tls)| tls.frame);
        for (counted, tls) in self.0 {
            if may_be_sip(&tls, sip_ports, speakers) {
                coverage.add_all(PacketKind::SealedTls, counted);
                if !tls.text.is_empty() {
                    anomalies.add(Anomaly::new(AnomalyKind::EncryptedTls, tls.frame, 0, tls.text));
                }
                if let Some((frame, alert)) = tls.alert {
                    anomalies.add(Anomaly::new(AnomalyKind::TlsAlert, frame, 0, alert));
                }
            } else {
                coverage.add_all(PacketKind::OtherTls, counted);
            }
        }
    }
}

fn may_be_sip(tls: &SealedTls, sip_ports: &[u16], speakers: &HashSet<IpAddr>) -> bool {
    let is_sip = |port: u16| SIP_PORTS.contains(&port) || sip_ports.contains(&port);
    let named = tls.server_name.as_ref().is_some_and(|name| is_named_for_sip(name));
    let port = tls.server.port;
    match tls.offer {
        Offer::Sip => true,
        // Who has the key expects SIP.
        _ if tls.wrong_keys => true,
        Offer::Other => false,
        Offer::Nothing | Offer::Http1 => {
            let is_open = port == HTTPS || port >= WELL_KNOWN;
            is_sip(port) || is_sip(tls.client.port) || (is_open && (named || speakers.contains(&tls.server.ip)))
        }
    }
}

/// "sip.example.com", "sips-eu.example.com".
fn is_named_for_sip(host: &str) -> bool {
    let first = host.split('.').next().unwrap_or_default();
    first.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("sip"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Endpoint;

    fn tls(port: u16, name: Option<&str>, offer: Offer) -> SealedTls {
        SealedTls {
            frame: 1,
            client: Endpoint { ip: [192, 0, 2, 1].into(), port: 40_000 },
            server: Endpoint { ip: [192, 0, 2, 2].into(), port },
            server_name: name.map(str::to_owned),
            offer,
            wrong_keys: false,
            text: String::new(),
            alert: None,
        }
    }

    #[test]
    fn https_to_any_host_is_no_sip() {
        let phone = HashSet::from([[192, 0, 2, 1].into()]);
        for offer in [Offer::Nothing, Offer::Http1, Offer::Other] {
            assert!(!may_be_sip(&tls(443, Some("www.example.com"), offer), &[], &phone), "{offer:?}");
        }
    }

    #[test]
    fn ports_names_and_offers_of_sip_may_be_sip() {
        let nobody = HashSet::new();
        assert!(may_be_sip(&tls(5061, None, Offer::Nothing), &[], &nobody));
        assert!(may_be_sip(&tls(7000, None, Offer::Nothing), &[7000], &nobody));
        assert!(may_be_sip(&tls(443, None, Offer::Sip), &[], &nobody));
        assert!(may_be_sip(&tls(443, Some("sip.example.com"), Offer::Nothing), &[], &nobody));
        assert!(!may_be_sip(&tls(5061, None, Offer::Other), &[], &nobody), "HTTP/2 is none");
    }

    #[test]
    fn a_server_that_speaks_sip_elsewhere_may_speak_it_over_websocket() {
        let server = HashSet::from([[192, 0, 2, 2].into()]);
        assert!(may_be_sip(&tls(443, None, Offer::Http1), &[], &server));
        assert!(may_be_sip(&tls(8089, None, Offer::Nothing), &[], &server));
        assert!(!may_be_sip(&tls(443, None, Offer::Other), &[], &server));
        assert!(!may_be_sip(&tls(993, None, Offer::Nothing), &[], &server), "mail");
    }
}
