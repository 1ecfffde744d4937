//! `--metrics`: counts for Prometheus, and whether all is well, over HTTP.

use super::clock::{clock_on_the_wall, wall};
use super::families::Families;
use super::http::{self, Page};
use super::tap::{Pulse, Tap};
use crate::base::Error;
use crate::cli::log::{self, Level};
use crate::session::Seen;
use crate::story::{News, Story};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A program that has not looked for so long, and the time of some looks, hangs. Looks come every second, or after three
/// times what the last one took.
const HANGS: Duration = Duration::from_secs(60);
const LOOKS: u32 = 5;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts what it hears.
pub(super) struct Counting {
    families: Arc<Families>,
    health: Arc<Mutex<Health>>,
}

/// What was known of it when it was looked at last.
struct Health {
    looked: Instant,
    /// How long it took.
    look: Duration,
    faults: Vec<String>,
}

/// Takes the address; nobody is answered yet. A port below 1024 takes a right that is given up later.
///
/// # Errors
/// [`Error::Usage`] when it is not to be had.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|why| Error::Usage(format!("--metrics {address}: {why}")))
}

impl Counting {
    /// Answers from now on, in threads that have the rights of this one.
    ///
    /// # Errors
    /// [`Error::Usage`] when the system has no thread for it.
    pub(super) fn serve(listener: TcpListener) -> Result<Self, Error> {
        let failed = |why: std::io::Error| Error::Usage(format!("--metrics: {why}"));
        let address = listener.local_addr().map_err(failed)?;
        let counting = Self {
            families: Arc::new(Families::new(wall().as_nanos() as f64 / 1e9)),
            health: Arc::new(Mutex::new(Health {
                looked: clock_on_the_wall(),
                look: Duration::ZERO,
                faults: Vec::new(),
            })),
        };
        let (families, health) = (Arc::clone(&counting.families), Arc::clone(&counting.health));
        let pages = move |path: &str| match path {
            "/" => Some(Page::text("200 OK", "callflow: /metrics for Prometheus, /healthz for health\n")),
            "/metrics" => Some(Page { status: "200 OK", media_type: OPEN_METRICS, body: families.write() }),
            "/healthz" => Some(lock(&health).page()),
            _ => None,
        };
        http::serve(listener, Arc::new(pages)).map_err(failed)?;
        let fields = [("address", address.to_string().into())];
        log::tell(Level::Info, "metrics", &format_args!("metrics at http://{address}/metrics"), &fields);
        if !address.ip().is_loopback() {
            let why =
                format_args!("--metrics: whoever reaches {address} can read the metrics; nobody is asked who they are");
            log::tell(Level::Warning, "metrics-open", &why, &fields);
        }
        Ok(counting)
    }
}

impl Tap for Counting {
    fn messages(&mut self, messages: &[Seen]) {
        self.families.hear(messages);
    }

    fn news(&mut self, story: &Story, news: &News) {
        self.families.tell(story, news);
    }

    fn pulse(&mut self, pulse: &Pulse) {
        self.families.stand(pulse);
        *lock(&self.health) = Health { looked: clock_on_the_wall(), look: pulse.look, faults: pulse.faults.clone() };
    }
}

impl Health {
    fn page(&self) -> Page {
        let quiet = self.looked.elapsed();
        let hangs = (quiet >= HANGS + self.look * LOOKS).then(|| format!("has not looked for {} s", quiet.as_secs()));
        let faults: Vec<&str> = self.faults.iter().map(String::as_str).chain(hangs.as_deref()).collect();
        if faults.is_empty() {
            return Page::text("200 OK", "ok\n");
        }
        Page::text("503 Service Unavailable", format!("{}\n", faults.join("\n")))
    }
}

fn lock(health: &Mutex<Health>) -> std::sync::MutexGuard<'_, Health> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_bad_when_an_input_ended_or_nobody_looks() {
        let mut health = Health { looked: clock_on_the_wall(), look: Duration::ZERO, faults: Vec::new() };
        assert_eq!((health.page().status, health.page().body.as_str()), ("200 OK", "ok\n"));
        health.faults.push("eth0 has ended".to_owned());
        assert_eq!(health.page().body, "eth0 has ended\n");
        assert!(health.page().status.starts_with("503"));
        health.faults.clear();
        if let Some(before) = health.looked.checked_sub(HANGS) {
            health.looked = before;
            assert!(health.page().body.starts_with("has not looked for"));
        }
    }
}
