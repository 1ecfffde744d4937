//! What those who operate it want: metrics, logs, how it stands.

use crate::cli::log::LogFormat;
use clap::Args;
use std::net::{Ipv4Addr, SocketAddr};

/// How a live view is watched over.
#[derive(Debug, Args)]
#[command(next_help_heading = "Operation")]
pub(in crate::cli) struct OpsArgs {
    /// Serve metrics for Prometheus at /metrics, and health at /healthz, on this TCP port.
    ///
    /// A port alone is one of the loopback interface; what stands before it is the address to listen on.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = address)]
    pub(in crate::cli) metrics: Option<SocketAddr>,
    /// How that is written which goes to standard error: text, or json, an object a line.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(in crate::cli) log_format: LogFormat,
    /// Say on standard error every so many seconds how it stands; SIGUSR1 asks for it once.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) status: Option<u32>,
}

/// "9464" is 127.0.0.1:9464.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse()
        .map_err(|_| "must be a port, or an IP address with a port: 9464, 192.0.2.1:9464, [::1]:9464".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        assert!(address("9464").is_ok_and(|address| address.ip().is_loopback() && address.port() == 9464));
        assert_eq!(address("[::]:1").map(|address| address.to_string()), Ok("[::]:1".to_owned()));
        assert!(["", "x", "70000", "192.0.2.1", "host:1"].iter().all(|wrong| address(wrong).is_err()));
    }
}
