//! The bytes of a capture file as a window that moves on: all of it when the file is mapped, some
//! megabytes when it is read. The formats see a slice and cannot tell which.

use super::compress::Reader;
use super::map::Map;
use bytes::{Bytes, BytesMut};
use std::io::{self, Read};

/// How much is allocated and, from files, read at once. A packet lies within one such buffer, and
/// larger ones get their own. The fuzzer's files are small, and their windows must move on as well.
const CHUNK: usize = if cfg!(fuzzing) { 4 << 10 } else { 2 << 20 };

/// Bytes in order, of which those before the current position are done with.
pub(super) struct Input {
    window: Window,
    /// Current position in the window.
    at: usize,
    /// Where in the file the window starts.
    start: u64,
}

enum Window {
    /// A map, and the position of the last [`Input::take_buffer`].
    Whole(Map, usize),
    Part(Part),
}

struct Part {
    reader: Option<Reader>,
    /// Initialised memory; the first `filled` bytes are from the file.
    buffer: BytesMut,
    filled: usize,
    /// How much to read ahead before going on.
    ahead: usize,
    failure: Option<io::Error>,
}

impl Input {
    /// A whole file in memory.
    pub(super) fn whole(map: Map) -> Self {
        Self { window: Window::Whole(map, 0), at: 0, start: 0 }
    }

    /// A pipe or terminal: what is there is used at once.
    pub(super) fn stream(reader: Reader) -> Self {
        Self::part(reader, 0)
    }

    /// A file or decoder that always has more: large steps.
    pub(super) fn bulk(reader: Reader) -> Self {
        Self::part(reader, CHUNK)
    }

    fn part(reader: Reader, ahead: usize) -> Self {
        let part = Part { reader: Some(reader), buffer: BytesMut::new(), filled: 0, ahead, failure: None };
        Self { window: Window::Part(part), at: 0, start: 0 }
    }

    /// The bytes from the current position on.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        let window = match &self.window {
            Window::Whole(map, _) => &map.bytes()[..],
            Window::Part(part) => &part.buffer[..part.filled],
        };
        window.get(self.at..).unwrap_or_default()
    }

    /// Whether nothing will follow [`Input::rest`].
    pub(super) fn ended(&self) -> bool {
        match &self.window {
            Window::Whole(..) => true,
            Window::Part(part) => part.reader.is_none(),
        }
    }

    /// Moves on; `n` must not be more than what [`Input::rest`] has.
    #[inline]
    pub(super) fn advance(&mut self, n: usize) {
        self.at += n;
    }

    /// Current position in the window, which is also that in the buffer which
    /// [`Input::take_buffer`] will give.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Current position in the file, after decompression.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The window up to the current position, shared; a streamed window starts anew behind it.
    pub(super) fn take_buffer(&mut self) -> Bytes {
        match &mut self.window {
            Window::Whole(map, last) => {
                // The next batch will be about as long as this one.
                map.prepare(self.at..self.at + (self.at - *last));
                *last = self.at;
                map.bytes().clone()
            }
            Window::Part(part) => {
                let taken = part.buffer.split_to(self.at).freeze();
                part.filled -= self.at;
                self.start += self.at as u64;
                self.at = 0;
                taken
            }
        }
    }

    /// Reads until [`Input::rest`] has `need` bytes or the input has ended, whatever the reason.
    /// Gives up what is before the current position.
    pub(super) fn fill(&mut self, need: usize) {
        if self.at > 0 {
            drop(self.take_buffer_if_streamed());
        }
        if let Window::Part(part) = &mut self.window {
            part.fill(need);
        }
    }

    fn take_buffer_if_streamed(&mut self) -> Option<Bytes> {
        matches!(self.window, Window::Part(_)).then(|| self.take_buffer())
    }

    /// The read error that ended the input.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        match &mut self.window {
            Window::Whole(..) => None,
            Window::Part(part) => part.failure.take(),
        }
    }

    /// What this input still has, as a reader.
    pub(super) fn into_reader(self) -> Reader {
        match self.window {
            Window::Whole(map, _) => Box::new(io::Cursor::new(map.bytes().clone())),
            Window::Part(part) => {
                let head = part.buffer.freeze().slice(self.at..part.filled);
                Box::new(io::Cursor::new(head).chain(part.reader.unwrap_or_else(|| Box::new(io::empty()))))
            }
        }
    }
}

impl Part {
    fn fill(&mut self, need: usize) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        let wanted = need.max(self.ahead);
        let outcome = loop {
            if self.filled >= wanted {
                break Some(reader);
            }
            // Zeroed once a chunk, not once a read.
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled + CHUNK, 0);
            }
            match reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => break None,
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    break None;
                }
            }
        };
        self.reader = outcome;
    }
}
