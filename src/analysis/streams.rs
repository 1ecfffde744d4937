//! From the segments of a connection to messages.

use super::coverage::{Counted, PacketKind};
use super::intake::{Origin, Raw};
use super::{Analyzer, Closing, closings};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Connection, Frames, Timestamp};
use crate::net::{self, Carried, Decoded, Ended, Segment, StreamData, StreamEvent};
use crate::sip::{Framed, Framer, Probe, probe};
use bytes::Bytes;

/// One direction of a stream on its way to messages.
pub(super) struct Line {
    framer: Framer,
    connection: Connection,
    /// Whether a SIP message came out of it; bytes of other protocols are no anomaly.
    sip: bool,
}

impl Analyzer {
    pub(super) fn segment(
        &mut self,
        frame: u32,
        time: Timestamp,
        segment: &Segment<'_>,
        raws: &mut Vec<Raw>,
        share: &dyn Fn(&[u8]) -> Bytes,
    ) {
        let anomalies = &mut self.analysis.anomalies;
        self.streams.push(segment, frame, time, share, anomalies, &mut self.events);
        self.stream_events(raws);
        for ended in self.streams.take_ended() {
            self.account(ended);
        }
    }

    pub(super) fn stream_events(&mut self, raws: &mut Vec<Raw>) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            self.stream(event, raws);
        }
        self.events = events;
    }

    /// Counts the packets of a connection that is over.
    pub(super) fn account(&mut self, ended: Ended) {
        let Ended { stream, packets, first, carried } = ended;
        let counted = Counted { packets, first };
        let has_sip = self.with_sip.remove(&stream);
        let kind = match carried {
            Carried::Sealed(tls) if !has_sip => return self.sealed.push(counted, tls, &mut self.coverage),
            Carried::Sealed(tls) => {
                let odd = Anomaly::new(AnomalyKind::EncryptedTls, tls.frame, 0, tls.text);
                self.analysis.anomalies.add(odd);
                PacketKind::SipTcp
            }
            _ if has_sip => PacketKind::SipTcp,
            Carried::Nothing => PacketKind::EmptyTcp,
            Carried::Cut => PacketKind::CutContent,
            Carried::Plain => PacketKind::OtherTcp,
            Carried::Tls => PacketKind::OtherTls,
        };
        self.coverage.add_all(kind, counted);
    }

    /// Bytes of a stream become messages by their Content-Length (RFC 3261 18.3).
    fn stream(&mut self, event: StreamEvent, raws: &mut Vec<Raw>) {
        let StreamEvent { stream, connection, frame, time, what } = event;
        let before = raws.len();
        match what {
            StreamData::Message(bytes) => {
                if let Probe::Sip { offset } = probe(&bytes) {
                    let origin = Origin { frames: Frames::one(frame), time, interface: 0 };
                    raws.push(origin.message(connection, bytes.slice(offset..)));
                }
            }
            StreamData::Hep(packet) => {
                let origin = Origin { frames: Frames::one(frame), time, interface: 0 };
                if let Decoded::Relayed(relayed) = net::decode_hep(&packet, connection.src.ip) {
                    self.relayed(origin, &relayed, &|part| packet.slice_ref(part), raws);
                }
            }
            StreamData::Bytes(bytes) => {
                let line = self.framers.entry(stream).or_insert_with(|| Line {
                    framer: Framer::default(),
                    connection,
                    sip: false,
                });
                line.framer.push(bytes, frame, time, &mut self.framed);
                line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
            }
            StreamData::Gap { bytes, acknowledged } => {
                if acknowledged && self.framers.contains_key(&stream) {
                    self.analysis.health.add_gap(connection, bytes);
                }
                if let Some(line) = self.framers.get_mut(&stream) {
                    line.framer.gap(bytes, &mut self.framed);
                    line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
                }
            }
            StreamData::End(how) => {
                let sip = [stream, stream ^ 1].iter().any(|id| self.framers.get(id).is_some_and(|line| line.sip));
                let time = time.moved(self.past.clock_set);
                closings::note(&mut self.analysis.closings, Closing { connection, frame, time, how }, sip);
                self.close(stream, raws);
            }
        }
        if raws.len() > before {
            self.with_sip.insert(stream & !1);
        }
    }

    pub(super) fn close(&mut self, stream: u64, raws: &mut Vec<Raw>) {
        if let Some(mut line) = self.framers.remove(&stream) {
            let before = raws.len();
            line.framer.finish(&mut self.framed);
            line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
            if raws.len() > before {
                self.with_sip.insert(stream & !1);
            }
        }
    }
}

impl Line {
    fn take(&mut self, framed: &mut Vec<Framed>, raws: &mut Vec<Raw>, anomalies: &mut Anomalies) {
        for framed in framed.drain(..) {
            match framed {
                Framed::Message { bytes, frames, time, .. } => {
                    self.sip = true;
                    raws.push(Origin { frames, time, interface: 0 }.message(self.connection, bytes));
                }
                Framed::Junk { frame, bytes } if self.sip => {
                    let text = format!("{bytes} bytes between SIP messages of a stream are no SIP");
                    anomalies.add(Anomaly::new(AnomalyKind::NotSip, frame, 0, text));
                }
                Framed::Junk { .. } => {}
            }
        }
    }
}
