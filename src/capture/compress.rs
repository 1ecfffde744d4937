//! gzip, zstd, lz4 and xz around a capture, told by their magic numbers.

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{FrameDecoder as ZstdFrame, StreamingDecoder as ZstdDecoder};
use std::io::{self, BufReader, Read};
use std::ops::Range;

/// Where compressed or plain bytes come from.
pub(super) type Reader = Box<dyn Read + Send>;

/// A compression that we undo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Xz,
}

impl Compression {
    /// Bytes needed to tell.
    pub(super) const MAGIC: usize = 6;

    /// That of a file that starts with `bytes`, if any.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // The second is a skippable frame, which parallel compressors write first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            // The second is the legacy frame.
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }

    /// Undoes it, over all members, frames or streams of `reader`.
    pub(super) fn decoder(self, reader: Reader) -> Reader {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
            Self::Zstd => Box::new(Parts::<ZstdDecoder<Input, ZstdFrame>>::new(reader)),
            Self::Lz4 => Box::new(Parts::<Lz4Decoder<Input>>::new(reader)),
            Self::Xz => Box::new(Parts::<XzReader<Input>>::new(reader)),
        }
    }
}

/// Compressed bytes: a buffer that can be looked into, and reads that are short at the end only
/// (the decoders take a short read for the end).
struct Input {
    reader: Reader,
    buffer: Vec<u8>,
    /// What is left of the buffer.
    left: Range<usize>,
}

impl Input {
    const BUFFER: usize = 32 << 10;

    fn new(reader: Reader) -> Self {
        Self { reader, buffer: vec![0; Self::BUFFER], left: 0..0 }
    }

    /// The next `n` bytes, or fewer at the end; `n` is small.
    fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.left.len() < n {
            self.buffer.copy_within(self.left.clone(), 0);
            self.left = 0..self.left.len();
            match self.reader.read(&mut self.buffer[self.left.end..])? {
                0 => break,
                more => self.left.end += more,
            }
        }
        Ok(&self.buffer[self.left.start..self.left.end.min(self.left.start + n)])
    }

    fn skip(&mut self, n: u64) -> io::Result<()> {
        match io::copy(&mut self.take(n), &mut io::sink())? {
            skipped if skipped == n => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < out.len() {
            if self.peek(1)?.is_empty() {
                break;
            }
            let n = self.left.len().min(out.len() - read);
            out[read..read + n].copy_from_slice(&self.buffer[self.left.start..self.left.start + n]);
            self.left.start += n;
            read += n;
        }
        Ok(read)
    }
}

/// A decoder of one part of compressed data: a zstd or lz4 frame, an xz stream.
trait Part: Read + Sized {
    fn begin(input: Input) -> io::Result<Self>;
    fn into_input(self) -> Input;
}

impl Part for ZstdDecoder<Input, ZstdFrame> {
    fn begin(input: Input) -> io::Result<Self> {
        Self::new(input).map_err(io::Error::other)
    }

    fn into_input(self) -> Input {
        self.into_inner()
    }
}

impl Part for Lz4Decoder<Input> {
    fn begin(input: Input) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn into_input(self) -> Input {
        self.into_inner()
    }
}

/// The crate can follow several streams itself, but recurses for each: a file of empty streams
/// would exhaust the stack.
impl Part for XzReader<Input> {
    fn begin(input: Input) -> io::Result<Self> {
        Ok(Self::new(input, false))
    }

    fn into_input(self) -> Input {
        self.into_inner()
    }
}

/// Concatenated parts, read as one.
enum Parts<P> {
    Between(Input),
    Within(P),
    /// The end, or an error after which the decoder must not be asked again.
    Over,
}

impl<P: Part> Parts<P> {
    fn new(reader: Reader) -> Self {
        Self::Between(Input::new(reader))
    }

    /// The next part of `input`, if there is one.
    fn next_part(mut input: Input) -> io::Result<Self> {
        // xz allows zeros between streams; nothing else starts with one.
        while input.peek(1)? == [0] {
            input.skip(1)?;
        }
        match *input.peek(8)? {
            [] => Ok(Self::Over),
            // Skippable frames of zstd and lz4 (RFC 8878 3.1.2): magic, length, user data.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] => {
                input.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d])))?;
                Ok(Self::Between(input))
            }
            _ => P::begin(input).map(Self::Within),
        }
    }
}

impl<P: Part> Read for Parts<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            *self = match std::mem::replace(self, Self::Over) {
                Self::Over => return Ok(0),
                Self::Between(input) => Self::next_part(input)?,
                Self::Within(mut part) => match part.read(buffer)? {
                    0 => Self::Between(part.into_input()),
                    n => {
                        *self = Self::Within(part);
                        return Ok(n);
                    }
                },
            };
        }
    }
}
