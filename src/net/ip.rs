//! IPv4 and IPv6 headers with their extension headers.
//!
//! Checksums are not looked at: with offload the sender's capture sees them before they are computed.

use super::walk::Part;
use super::{Fragment, SkipKind};
use crate::base::Endpoint;
use etherparse::err::ipv4::HeaderSliceError;
use etherparse::{IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice};
use std::net::{IpAddr, Ipv4Addr};

/// What the layers above need of an IP header.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// Identification of IPv4, 0 for IPv6.
    pub(super) id: u16,
}

impl Header {
    /// Before the first IP header.
    pub(super) const NONE: Self =
        Self { src: IpAddr::V4(Ipv4Addr::UNSPECIFIED), dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED), id: 0 };

    /// Both ends, with their ports.
    pub(super) fn endpoints(&self, src: u16, dst: u16) -> (Endpoint, Endpoint) {
        (Endpoint { ip: self.src, port: src }, Endpoint { ip: self.dst, port: dst })
    }
}

/// What an IP datagram carries. (Small, as it is made for every packet.)
#[derive(Clone, Copy)]
pub(super) enum Upper {
    /// The whole payload, of this protocol.
    Protocol(u8),
    /// A part of the payload.
    Fragment(Place),
}

/// Which part of which payload.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) protocol: u8,
    pub(super) more: bool,
    pub(super) offset: u16,
    pub(super) id: u32,
}

impl Place {
    /// The fragment, whose bytes are the rest of `part`.
    pub(super) fn of<'a>(self, part: &Part<'a>, header: &Header) -> Fragment<'a> {
        Fragment {
            src: header.src,
            dst: header.dst,
            protocol: self.protocol,
            id: self.id,
            offset: self.offset,
            more: self.more,
            payload: part.bytes,
            missing: part.missing,
        }
    }
}

/// Takes the IP header and its extension headers off.
#[inline]
pub(super) fn strip(part: &mut Part<'_>, header: &mut Header) -> Result<Upper, SkipKind> {
    match part.bytes.first().map(|octet| octet >> 4) {
        Some(4) => v4(part, header),
        Some(6) => v6(part, header),
        Some(_) => Err(SkipKind::Malformed("IP")),
        None => Err(part.short("IP")),
    }
}

#[inline]
fn v4(part: &mut Part<'_>, header: &mut Header) -> Result<Upper, SkipKind> {
    let v4 = Ipv4HeaderSlice::from_slice(part.bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => part.short("IPv4"),
        HeaderSliceError::Content(_) => SkipKind::Malformed("IPv4"),
    })?;
    *header = Header { src: v4.source_addr().into(), dst: v4.destination_addr().into(), id: v4.identification() };
    let (length, total) = (v4.slice().len(), usize::from(v4.total_len()));
    if total >= length {
        part.trim(total);
    } // else: segmentation offload leaves 0, the rest of the frame is the payload
    part.skip(length, "IPv4")?;
    let protocol = v4.protocol().0;
    if !v4.is_fragmenting_payload() {
        return extensions(part, protocol);
    }
    let offset = v4.fragments_offset().byte_offset();
    Ok(Upper::Fragment(Place { protocol, more: v4.more_fragments(), offset, id: header.id.into() }))
}

fn v6(part: &mut Part<'_>, header: &mut Header) -> Result<Upper, SkipKind> {
    let v6 = Ipv6HeaderSlice::from_slice(part.bytes).map_err(|_| part.short("IPv6"))?;
    *header = Header { src: v6.source_addr().into(), dst: v6.destination_addr().into(), id: 0 };
    part.skip(v6.header_len(), "IPv6")?;
    if v6.payload_length() > 0 {
        part.trim(v6.payload_length().into());
    } // else: jumbogram (RFC 2675) or segmentation offload
    extensions(part, v6.next_header().0)
}

/// Passes extension headers (RFC 8200 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
#[inline]
fn extensions(part: &mut Part<'_>, mut protocol: u8) -> Result<Upper, SkipKind> {
    const LAYER: &str = "IP extension";
    loop {
        let (next, length) = match protocol {
            0 | 43 | 60 | 135 | 139 | 140 => {
                let extension = Ipv6RawExtHeaderSlice::from_slice(part.bytes).map_err(|_| part.short(LAYER))?;
                (extension.next_header(), extension.slice().len())
            }
            44 => {
                let extension = Ipv6FragmentHeaderSlice::from_slice(part.bytes).map_err(|_| part.short(LAYER))?;
                part.skip(extension.slice().len(), LAYER)?;
                if extension.is_fragmenting_payload() {
                    return Ok(Upper::Fragment(Place {
                        protocol: extension.next_header().0,
                        more: extension.more_fragments(),
                        offset: extension.fragment_offset().byte_offset(),
                        id: extension.identification(),
                    }));
                }
                (extension.next_header(), 0) // atomic fragment (RFC 6946)
            }
            51 => {
                let extension = IpAuthHeaderSlice::from_slice(part.bytes).map_err(|_| part.short(LAYER))?;
                (extension.next_header(), extension.slice().len())
            }
            _ => return Ok(Upper::Protocol(protocol)),
        };
        part.skip(length, LAYER)?;
        protocol = next.0;
    }
}
