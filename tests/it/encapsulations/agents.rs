//! Messages that capture agents pass on: whose time counts, and what is one message captured twice.

use super::table::TABLE;
use super::{tell, wire};
use callflow::call::Outcome;

/// Messages, copies captured twice, retransmissions.
fn counts(frames: &[Vec<u8>]) -> (u64, u64, u64) {
    let stats = tell(1, frames).analysis.stats;
    (stats.messages, stats.captured_twice, stats.retransmissions)
}

/// A message of the call as `agent` tells it, `late` milliseconds off on its clock; `protocol` 6 is TCP.
fn report(sip: &wire::Sip, protocol: u8, agent: u32, late: i64) -> Vec<u8> {
    let time = wire::agent_time(sip.number) + late * 1_000_000;
    wire::outer_udp(9060, &wire::hep3_at(sip, protocol, agent, time, &wire::hep_chunk(0, 15, &sip.text)))
}

/// The call with its INVITE sent again `steps` times 10 ms behind it.
fn with_invite_again(transport: &str, steps: u16) -> Vec<wire::Sip> {
    let mut call = wire::call(transport);
    let again = wire::Sip { number: steps, text: call[0].text.clone(), from_caller: true };
    call.insert(1, again);
    call
}

#[test]
fn relayed_messages_have_the_time_of_their_agent() {
    for name in ["HEP 3", "HEP 2", "HEP 3 over TCP"] {
        let row = TABLE.iter().find(|row| row.name == name).unwrap();
        let told = tell(row.link, &(row.wrap)(&wire::call("UDP")));
        for (seen, number) in told.analysis.seen.iter().zip(0..) {
            assert_eq!(seen.time.as_nanos(), wire::agent_time(number), "{name}");
        }
    }
}

#[test]
fn without_a_whole_time_of_the_agent_that_of_the_capture_counts() {
    let sip = &wire::call("UDP")[0];
    let (src, dst) = sip.ends();
    let head = [wire::hep_chunk(0, 3, &src.octets()), wire::hep_chunk(0, 4, &dst.octets())].concat();
    let seconds = wire::hep_chunk(0, 9, &1_700_000_000_u32.to_be_bytes());
    let absurd = wire::hep_chunk(0, 10, &u32::MAX.to_be_bytes());
    for time in [Vec::new(), seconds.clone(), [seconds, absurd].concat()] {
        let chunks = [head.clone(), time, wire::hep_chunk(0, 15, &sip.text)].concat();
        let packet = wire::cat(&[b"HEP3", &wire::be(6 + chunks.len()), &chunks]);
        let told = tell(1, &[wire::outer_udp(9060, &packet)]);
        assert_eq!(told.analysis.seen[0].time, crate::support::packets::START);
    }
}

#[test]
fn a_message_told_by_two_agents_is_one_captured_twice_and_sent_again_is_a_retransmission() {
    for (transport, protocol) in [("UDP", 17), ("TCP", 6), ("SCTP", 132)] {
        let call = with_invite_again(transport, 50);
        let frames: Vec<_> =
            call.iter().flat_map(|sip| [report(sip, protocol, 1, 0), report(sip, protocol, 2, 3)]).collect();
        assert_eq!(counts(&frames), (16, 8, 1), "{transport}");
    }
}

#[test]
fn an_agent_that_captures_every_packet_twice_tells_no_retransmissions() {
    for (transport, protocol) in [("UDP", 17), ("TCP", 6)] {
        let call = with_invite_again(transport, 50);
        let frames: Vec<_> =
            call.iter().flat_map(|sip| [report(sip, protocol, 1, 0), report(sip, protocol, 1, 0)]).collect();
        assert_eq!(counts(&frames), (16, 8, 1), "{transport}");
    }
}

#[test]
fn agents_may_have_clocks_that_are_minutes_apart() {
    let call = with_invite_again("TCP", 50);
    for late in [-300_000, 300_000] {
        let frames: Vec<_> = call.iter().flat_map(|sip| [report(sip, 6, 1, 0), report(sip, 6, 2, late)]).collect();
        assert_eq!(counts(&frames), (16, 8, 1));
    }
}

#[test]
fn a_message_in_the_capture_and_passed_on_by_an_agent_is_one() {
    let call = wire::call("UDP");
    let now = |sip: &wire::Sip| wire::outer_udp(9060, &wire::hep3_now(sip));
    let frames: Vec<Vec<u8>> = call.iter().flat_map(|sip| [now(sip), sip.eth()]).collect();
    assert_eq!(counts(&frames), (14, 7, 0));
    // The same over TCP, of which the capture has the segments.
    let call = wire::call("TCP");
    let segments = (TABLE.iter().find(|row| row.name == "TCP").unwrap().wrap)(&call);
    let frames: Vec<_> = call.iter().zip(segments).flat_map(|(sip, segment)| [report(sip, 6, 1, 0), segment]).collect();
    assert_eq!(counts(&frames), (14, 7, 0));
}

#[test]
fn a_message_on_tcp_sent_again_is_a_retransmission_however_close() {
    let mut call = wire::call("TCP");
    call.insert(1, wire::Sip { number: 0, text: call[0].text.clone(), from_caller: true });
    let segments = (TABLE.iter().find(|row| row.name == "TCP").unwrap().wrap)(&call);
    assert_eq!(counts(&segments), (8, 0, 1));
}

#[test]
fn an_exported_message_from_two_files_is_one() {
    let row = TABLE.iter().find(|row| row.name == "exported PDU of TCP").unwrap();
    let frames: Vec<_> = (row.wrap)(&wire::call("TCP")).into_iter().flat_map(|frame| [frame.clone(), frame]).collect();
    let mut batch = super::batch(row.link, &frames);
    for (at, packet) in batch.packets.iter_mut().enumerate() {
        packet.interface = at as u32 % 2;
    }
    let stats = crate::support::tell_batch(&batch).analysis.stats;
    assert_eq!((stats.messages, stats.captured_twice, stats.retransmissions), (14, 7, 0));
}

#[test]
fn a_call_at_the_end_of_the_capture_is_open_whatever_the_clock_of_its_agent() {
    let call = wire::call("UDP");
    for late in [-1_000_000_000_000, 0, 100_000_000_000] {
        let told = tell(1, &[report(&call[0], 17, 1, late), report(&call[1], 17, 1, late)]);
        assert_eq!(told.analysis.calls[0].outcome, Outcome::Incomplete, "{late}");
        assert!(told.findings.iter().all(|finding| finding.call.is_none()), "{late}: {:?}", told.findings);
    }
}
