//! A web server for programs that ask how it stands: pages without state, and nothing that a slow or rude client could
//! hold up beside itself.

use super::clock::clock_on_the_wall;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients that are answered at a time: some Prometheus servers, and people. More are turned away.
const CLIENTS: usize = 8;
/// How long a client may take in all, for its request and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that a request may have; Prometheus sends some hundred.
const REQUEST: usize = 8 << 10;
/// Header fields that it may have.
const FIELDS: usize = 64;
/// Rest of the accepting thread when the system has no more connections to give.
const REST: Duration = Duration::from_millis(100);

/// An answer.
pub(super) struct Page {
    /// Such as "200 OK".
    pub(super) status: &'static str,
    pub(super) media_type: &'static str,
    pub(super) body: String,
}

impl Page {
    pub(super) fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, media_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Gives the page of a path; `None` when there is none.
pub(super) type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// Answers until the program ends, in threads of its own.
pub(super) fn serve(listener: TcpListener, pages: Pages) -> io::Result<()> {
    thread::Builder::new().name("metrics".to_owned()).spawn(move || accept(&listener, &pages)).map(drop)
}

fn accept(listener: &TcpListener, pages: &Pages) {
    let clients = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        let Ok(client) = client else {
            thread::sleep(REST);
            continue;
        };
        let Some(seat) = Seat::take(&clients) else {
            continue;
        };
        let pages = Arc::clone(pages);
        let answered = thread::Builder::new().name("metrics client".to_owned()).spawn(move || {
            // Whoever does not listen to the answer does not want it.
            let _ = answer(client, &pages);
            drop(seat);
        });
        if answered.is_err() {
            thread::sleep(REST);
        }
    }
}

/// The place of one client.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        // Taken by one thread alone, given back by others.
        if clients.load(Ordering::Acquire) >= CLIENTS {
            return None;
        }
        clients.fetch_add(1, Ordering::AcqRel);
        Some(Self(Arc::clone(clients)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn answer(mut client: TcpStream, pages: &Pages) -> io::Result<()> {
    let end = clock_on_the_wall() + PATIENCE;
    let request = listen(&mut client, end)?;
    let page = match &request {
        Request::Get { path, .. } => pages(path).unwrap_or_else(|| Page::text("404 Not Found", "not found\n")),
        Request::OtherMethod => Page::text("405 Method Not Allowed", "GET and HEAD only\n"),
        Request::TooLong => Page::text("431 Request Header Fields Too Large", "too long\n"),
        Request::Nonsense => Page::text("400 Bad Request", "no HTTP\n"),
    };
    let allow = if matches!(request, Request::OtherMethod) { "Allow: GET, HEAD\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        page.status,
        page.media_type,
        page.body.len()
    );
    if !matches!(request, Request::Get { head_only: true, .. }) {
        answer.push_str(&page.body);
    }
    speak(&mut client, answer.as_bytes(), end)?;
    hear_out(&mut client, end)
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Get { path: String, head_only: bool },
    OtherMethod,
    TooLong,
    Nonsense,
}

impl Request {
    /// `None` when more has to come.
    fn parse(head: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) if head.len() >= REQUEST => return Some(Self::TooLong),
            Ok(httparse::Status::Partial) => return None,
            Err(httparse::Error::TooManyHeaders) => return Some(Self::TooLong),
            Err(_) => return Some(Self::Nonsense),
        }
        let path = request.path.unwrap_or_default();
        let path = path.split_once('?').map_or(path, |(path, _)| path).to_owned();
        Some(match request.method {
            Some("GET") => Self::Get { path, head_only: false },
            Some("HEAD") => Self::Get { path, head_only: true },
            _ => Self::OtherMethod,
        })
    }
}

fn listen(client: &mut TcpStream, end: Instant) -> io::Result<Request> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        client.set_read_timeout(Some(left(end)?))?;
        let length = client.read(&mut piece)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(piece.get(..length).unwrap_or_default());
        if let Some(request) = Request::parse(&head) {
            return Ok(request);
        }
    }
}

fn speak(client: &mut TcpStream, mut answer: &[u8], end: Instant) -> io::Result<()> {
    while !answer.is_empty() {
        client.set_write_timeout(Some(left(end)?))?;
        let length = client.write(answer)?;
        if length == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        answer = answer.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// Lets the client finish: closing with something unread would take the answer away from it.
fn hear_out(client: &mut TcpStream, end: Instant) -> io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    let mut piece = [0; 1024];
    loop {
        client.set_read_timeout(Some(left(end)?))?;
        if client.read(&mut piece)? == 0 {
            return Ok(());
        }
    }
}

/// What is left until `end`.
fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(clock_on_the_wall());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_when_its_head_is_whole_and_refused_when_it_is_too_long() {
        let whole = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(Request::parse(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Request::parse(whole), Some(Request::Get { path: "/metrics".to_owned(), head_only: false }));
        assert_eq!(Request::parse(b"POST / HTTP/1.1\r\n\r\n"), Some(Request::OtherMethod));
        assert_eq!(Request::parse(b"\x16\x03\x01\x02\0"), Some(Request::Nonsense));
        let many = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(FIELDS + 1));
        assert_eq!(Request::parse(many.as_bytes()), Some(Request::TooLong));
        let long = format!("GET /{} ", "a".repeat(REQUEST));
        assert_eq!(Request::parse(long.as_bytes()), Some(Request::TooLong));
    }
}
