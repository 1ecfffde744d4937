//! HEP from capture agents, and to a collector.

use crate::capture::HepAddress;
use crate::export::CollectorAddress;
use clap::Args;
use std::path::PathBuf;

/// Who sends HEP to us, and to whom we do.
#[derive(Debug, Args)]
#[command(next_help_heading = "HEP")]
#[allow(clippy::struct_field_names)] // clap makes the options of them
pub(in crate::cli) struct HepArgs {
    /// Take HEP 2 and 3 from capture agents at this address, instead of an interface; may be repeated.
    #[arg(long, value_name = "[udp:|tcp:|tls:]IP:PORT", conflicts_with = "follow")]
    pub(in crate::cli) hep_listen: Vec<HepAddress>,
    /// Certificate chain for `--hep-listen tls:`, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["hep_listen", "hep_cert_key"])]
    pub(in crate::cli) hep_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "hep_cert")]
    pub(in crate::cli) hep_cert_key: Option<PathBuf>,
    /// File with the authentication key of HEP, in its first line: who sends without it is refused, and the collector gets it.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) hep_key_file: Option<PathBuf>,
    /// Send all SIP messages to a HEP collector such as Homer.
    #[arg(long, value_name = "[udp:|tcp:|tls:]HOST:PORT")]
    pub(in crate::cli) hep_send: Option<CollectorAddress>,
    /// Certificates of authorities to trust for `--hep-send tls:`, PEM; those of the system otherwise.
    #[arg(long, value_name = "FILE", requires = "hep_send")]
    pub(in crate::cli) hep_ca: Option<PathBuf>,
    /// The number by which the collector knows us.
    #[arg(long, value_name = "N", default_value_t = 2001, requires = "hep_send")]
    pub(in crate::cli) hep_id: u32,
}
