//! Every cap on state that the network can make grow, with its reason.
//!
//! Reaching one is an anomaly that the report shows; it never stops the analysis.

use std::time::Duration;

/// Tunnels within tunnels; real captures have two or three.
pub const TUNNEL_DEPTH: u8 = 8;
/// Frames in one aggregate of IEEE 802.11; with 11,454 bytes at most it has some hundred.
pub const AGGREGATED_FRAMES: usize = 256;
/// IP datagrams waiting for fragments at once.
pub const DEFRAG_DATAGRAMS: usize = 4096;
/// Bytes held of such datagrams; one of them has up to 2^16.
pub const DEFRAG_BYTES: usize = 64 << 20;
/// How long, in packet time, fragments wait for the rest (RFC 791 3.2 and RFC 8200 4.5 speak of 15 s to 60 s).
pub const DEFRAG_TIMEOUT: Duration = Duration::from_secs(60);
/// TCP connections followed at once; the longest idle is given up.
pub const TCP_CONNECTIONS: usize = 65_536;
/// Bytes held out of order for one direction of a TCP connection.
pub const TCP_PENDING_BYTES: usize = 1 << 20;
/// Segments held out of order for one direction of a TCP connection.
pub const TCP_PENDING_SEGMENTS: usize = 1024;
/// Bytes held out of order over all connections: a burst of loss on many of them at once.
pub const TCP_PENDING_TOTAL: usize = 256 << 20;
/// How long, in packet time, a hole in a stream may wait for its segment before it is called lost.
pub const TCP_HOLE_TIMEOUT: Duration = Duration::from_secs(8);
/// TLS connections without keys that are kept until it is clear who speaks SIP; an office has some thousands a day.
pub const SEALED_CONNECTIONS: usize = 65_536;
/// Ways in which SIP messages may be wrapped (VLANs, tunnels) that are told apart; more counts as none.
pub const ENCAPSULATIONS: usize = 4096;
/// Ends of TCP connections kept as evidence; more of them in one capture tell nothing more.
pub const CLOSED_CONNECTIONS: usize = 100_000;
/// Directions of SCTP associations whose retransmissions are known; 2 KiB each.
pub const SCTP_DIRECTIONS: usize = 16_384;
/// SCTP fragments that wait for others; a message of 64 KiB has about 45.
pub const SCTP_FRAGMENTS: usize = 65_536;
/// Bytes of them.
pub const SCTP_BYTES: usize = 64 << 20;
/// How long, in packet time, an SCTP fragment waits: longer than the largest retransmission timer (RFC 9260 16, RTO.Max).
pub const SCTP_TIMEOUT: Duration = Duration::from_secs(90);
/// Largest SIP message on a stream, body included; larger ones are cut and said so.
pub const STREAM_MESSAGE_BYTES: usize = 1 << 20;
/// Largest header section searched for its end.
pub const HEADER_BYTES: usize = 256 << 10;
/// Bytes of undecrypted or unframed data kept for one direction (TLS record 2^14 + 2048, WebSocket frame).
pub const RECORD_BYTES: usize = 1 << 20;
/// Bytes kept of one TLS handshake for its extended master secret; chains of certificates have some 10 KiB.
pub const HANDSHAKE_BYTES: usize = 128 << 10;
/// TLS sessions that may be resumed; the oldest is forgotten first. About 100 bytes each.
pub const TLS_SESSIONS: usize = 65_536;
/// Operations with private RSA keys in one analysis; each takes a millisecond or more.
pub const RSA_OPERATIONS: usize = 65_536;
/// Bytes held until an HTTP upgrade to WebSocket is decided; browsers and servers stay below 8 KiB a header section.
pub const UPGRADE_BYTES: usize = 32 << 10;
/// Messages examined in one leg before its details are given up (a flood under one Call-ID).
pub const MESSAGES_PER_CALL: usize = 100_000;
/// Messages in the whole analysis.
pub const MESSAGES: usize = 1 << 30;
/// Headers of one message that are looked at.
pub const HEADERS_PER_MESSAGE: usize = 4096;
/// Largest captured packet that is believed; Wireshark's own limit, for USB transfers. IP stops at 64 KiB.
pub const PACKET_BYTES: usize = 128 << 20;
/// Interfaces described in one capture file; a capture on every device of a large host has some hundreds.
pub const CAPTURE_INTERFACES: usize = 65_536;
/// Names of addresses kept from the capture files; a resolver cache has some thousands.
pub const CAPTURE_NAMES: usize = 65_536;
/// Comments on packets kept from the capture files: people write some, programs one for each packet.
pub const CAPTURE_COMMENTS: usize = 10_000;
/// Bytes of one such comment that are kept.
pub const COMMENT_BYTES: usize = 4096;
/// TLS secrets kept from the capture files; one session is under 1 KiB.
pub const KEY_LOG_BYTES: usize = 64 << 20;
/// Findings of one rule and severity that are told for one call; a flood under one Call-ID repeats them endlessly.
pub const FINDINGS_OF_A_RULE: usize = 20;
/// Legs that one identifier may tie together; one that more of them carry is a constant, not an identifier.
pub const LEGS_OF_AN_IDENTIFIER: usize = 8;
/// Legs of one call; transfers from desk to desk have a handful, a conference as many as it has members.
pub const LEGS_OF_A_CALL: usize = 32;
/// Bytes of a callflow.toml; a project with a thousand expectations has some 100 KiB.
pub const CONFIG_BYTES: usize = 1 << 20;
/// Bytes that a message takes beside its text while its call is judged: the message, its copy, its share of transactions,
/// dialogs, facts and flows; rather too high, as a live view looks at no more at once than there is room for.
pub const MESSAGE_COST: usize = 6 << 10;
/// The same when all that is held is judged together.
pub const MESSAGE_COST_IN_BULK: usize = 3 << 9;
/// Calls that a live view remembers to be over, 8 bytes each: what comes late for them is no new call.
pub const FORGOTTEN_CALLS: usize = 65_536;
/// Names of methods that are counted over the time of a live view; there are fourteen, and inventions.
pub const METHODS: usize = 1024;
/// Pairs of hosts whose messages are counted over the time of a live view.
pub const ADDRESS_PAIRS: usize = 65_536;
/// Batches of packets between the threads that capture and the one that looks at them.
pub const WAITING_BATCHES: usize = 256;
/// The same of a stream: its writer waits as well, so that few are enough.
pub const WAITING_OF_STREAM: usize = 4;
/// Calls that a live view keeps open, whatever room there is; a large carrier's element has some 100,000.
pub const OPEN_CALLS: usize = 1 << 20;
/// Ends of connections, and ICMP errors, that a live view keeps to explain what it looks at: each look goes over them.
pub const EVIDENCE: usize = 4096;
/// Ways between hosts, times kinds of message, that a live view counts over all its time.
pub const COUNTED_WAYS: usize = 65_536;
/// Ways between hosts on which a live view follows the numbers of datagrams.
pub const NUMBERED_WAYS: usize = 16_384;
/// Numbers of the last datagrams on such a way; a call is judged while what was sent around it is among them.
pub const NUMBERED_DATAGRAMS: usize = 256;
/// Findings about the traffic as a whole that a live view tells.
pub const FINDINGS_OF_CAPTURE: usize = 10_000;
/// Connections of capture agents to one HEP listener; each holds 64 KiB at most.
pub const HEP_PEERS: usize = 256;
/// Hosts and reasons that the user is told of, when HEP is refused; all are counted.
pub const REFUSED_PEERS: usize = 1024;
/// Bytes of messages that wait for a HEP collector: some seconds of a busy server.
pub const HEP_WAITING: usize = 16 << 20;
/// Bytes of packets that wait to be written: some seconds of a busy link, for as long as a disk may stop.
pub const WAITING_TO_BE_WRITTEN: usize = 64 << 20;
/// Files of a folder that is followed which are told apart; a ring of captures has some hundreds.
pub const FOLLOWED_FILES: usize = 65_536;
