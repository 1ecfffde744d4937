//! What the analysis did that the capture does not show: told as anomalies.

use super::Analysis;
use crate::base::{Anomalies, Anomaly, AnomalyKind, limits};
use crate::call;
use crate::session::Seen;

/// Says which messages do not stand where they were captured.
pub(super) fn repairs(analysis: &mut Analysis) {
    for call in &analysis.calls {
        for link in &call.reordered {
            let seen = |no| &analysis.seen[call.message(no).seen.at()];
            let (effect, cause) = (seen(link.effect), seen(link.cause));
            let (frame, behind) = (effect.frames.last(), cause.frames.last());
            let late = cause.time - effect.time;
            let times =
                if late > 0 { format!("{:.3} ms", late as f64 / 1e6) } else { "against their times".to_owned() };
            let text = format!(
                "frame {frame} was recorded before frame {behind}, which caused it ({times}); \
                 it is taken behind it"
            );
            let note = Anomaly::new(AnomalyKind::Reordered, frame, 0, text);
            analysis.anomalies.add(note);
        }
    }
}

/// Says which legs would make a call of more legs than there are.
pub(super) fn oversized(analysis: &mut Analysis) {
    for (leg, legs) in &analysis.ties.oversized {
        let first =
            analysis.calls[*leg].messages.first().map_or(0, |first| analysis.seen[first.seen.at()].frames.last());
        let text =
            format!("{legs} legs name each other; more than {} are not told as one call", limits::LEGS_OF_A_CALL);
        analysis.anomalies.add(Anomaly::new(AnomalyKind::LimitReached, first, 0, text));
    }
}

/// A flood under one Call-ID is judged by its first messages.
pub(super) fn cap(group: &mut call::Group, seen: &[Seen], anomalies: &mut Anomalies) {
    if let Some(first) = group.get(limits::MESSAGES_PER_CALL) {
        let frame = seen[first.at()].frames.last();
        let text =
            format!("one call has {} messages; only the first {} are judged", group.len(), limits::MESSAGES_PER_CALL);
        anomalies.add(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text));
        group.truncate(limits::MESSAGES_PER_CALL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Connection, Endpoint, Frames, Idx, Timestamp, Transport};
    use crate::sip::Message;
    use bytes::Bytes;

    #[test]
    fn a_call_without_end_is_judged_by_its_first_messages_and_says_so() {
        let host = Endpoint { ip: std::net::IpAddr::from([192, 0, 2, 1]), port: 5060 };
        let seen = [Seen {
            message: Message::parse(Bytes::from_static(b"OPTIONS sip:a SIP/2.0\r\n\r\n")),
            frames: Frames::one(7),
            time: Timestamp::default(),
            connection: Connection { src: host, dst: host, transport: Transport::Udp },
            sending: crate::session::Sending::Unnumbered,
            wrapped: 0,
            unseen_at: None,
            interface: 0,
        }];
        let mut anomalies = Anomalies::default();
        let mut group = vec![Idx::new(0); limits::MESSAGES_PER_CALL];
        cap(&mut group, &seen, &mut anomalies);
        assert!(anomalies.is_empty());
        group.push(Idx::new(0));
        cap(&mut group, &seen, &mut anomalies);
        assert_eq!(group.len(), limits::MESSAGES_PER_CALL);
        assert_eq!(anomalies.iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [AnomalyKind::LimitReached]);
    }
}
