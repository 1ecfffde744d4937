//! Looks of a live view: at what changed alone, whenever they come, with the findings of `check`; floods; clocks that are set.
#![cfg(unix)]

use crate::live::listening;
use crate::support;
use callflow::analysis::{Analysis, Analyzer, Options, Stay};
use callflow::base::{Batch, Timestamp};
use callflow::capture::{self, More};
use callflow::rules::{self, Finding};
use callflow::story::{self, Stage, Story, Watch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

/// Findings by rule, verdict and the frame they point at first, with how often. (More frames may join a finding after it
/// was told: one more repetition.)
type Told = BTreeMap<(String, String, Option<u64>), usize>;

fn note(told: &mut Told, finding: &Finding) {
    let first = finding.frames.first().map(|frame| u64::from(*frame));
    *told.entry((finding.rule.code.to_owned(), finding.verdict.name().to_owned(), first)).or_default() += 1;
}

/// Bytes that open calls may take: enough.
const ROOM: usize = 1 << 30;

/// Judged as `check` does.
fn judge(analysis: Analysis) -> Story {
    let flows = callflow::flow::match_all(&analysis);
    let findings = rules::check(&analysis, &flows);
    story::tell(analysis, flows, findings)
}

/// A watch of packets that come.
struct Watching {
    analyzer: Analyzer,
    watch: Watch,
    told: Told,
    /// Calls judged, at all looks together.
    judged: usize,
    /// The most bytes that were held after a look.
    held: usize,
}

impl Watching {
    fn new(key_log: Vec<u8>) -> Self {
        let analyzer = Analyzer::new(Options { key_log, copies: true, ..Options::default() });
        Self { analyzer, watch: Watch::new(), told: Told::new(), judged: 0, held: 0 }
    }

    fn look(&mut self, now: Timestamp) {
        let story = judge(self.analyzer.look(now, ROOM));
        let news = self.watch.hear(&story, now, Stage::Running, |call| self.analyzer.gives_up(call));
        news.findings.iter().for_each(|at| note(&mut self.told, &story.findings[*at]));
        self.analyzer.forget(&story.analysis, |call| news.stays[call]);
        self.judged += story.analysis.calls.len();
        self.held = self.held.max(self.analyzer.held());
    }

    fn step(&mut self, nanos: i64) {
        self.analyzer.step(nanos);
        self.watch.step(nanos);
    }
}

/// When looks come, and when the clock is set.
#[derive(Clone, Copy)]
struct Moments {
    /// Zero for a look each second, else the seed of random pauses.
    seed: u64,
    /// Behind how many packets the clock is set, and by how many nanoseconds.
    step: Option<(usize, i64)>,
}

impl Moments {
    fn pause(&mut self) -> Duration {
        if self.seed == 0 {
            return Duration::from_secs(1);
        }
        // Numerical Recipes, of which the upper bits are good enough here.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly below a second, at times a minute.
        Duration::from_millis((self.seed >> 33) % 1000 * (1 + (self.seed >> 59) * (self.seed >> 61)))
    }
}

/// What is counted over the whole of a capture.
fn counted(analysis: &Analysis) -> String {
    let stats = &analysis.stats;
    let (kinds, proved) = ((&stats.transports, &stats.requests, &stats.responses), analysis.health.population.proved());
    let copies = (stats.retransmissions, stats.captured_twice, stats.malformed);
    let state = (stats.transactions, stats.dialogs, stats.call_ids, &stats.directions);
    format!("{} messages, {kinds:?}, copies {copies:?}, {state:?}, {proved:?}", stats.messages)
}

/// What a watch of a capture tells, how much of that before the end, what was counted, and the most bytes that were held.
fn watched(path: &Path, mut moments: Moments) -> (Told, usize, String, usize) {
    let key_log = fs::read(path.with_extension("keylog")).unwrap_or_default();
    let mut source = capture::open(&[path.to_path_buf()]).source;
    let (mut watching, mut batch) = (Watching::new(key_log), Batch::default());
    let mut next_look: Option<Timestamp> = None;
    let (mut packets, mut set) = (0, 0);
    while source.next_batch(&mut batch).is_ok_and(|more| more == More::More) {
        watching.analyzer.add_keys(&source.key_log());
        for packet in &batch.packets {
            if let Some((at, nanos)) = moments.step
                && at == packets
            {
                watching.step(nanos);
                next_look = next_look.map(|look| look.moved(nanos));
                set = nanos;
            }
            packets += 1;
            let mut packet = *packet;
            packet.time = packet.time.moved(set);
            if let Some(now) = next_look.filter(|at| packet.time >= *at) {
                watching.look(now);
                next_look = Some(packet.time.after(moments.pause()));
            }
            next_look.get_or_insert(packet.time.after(moments.pause()));
            watching.analyzer.push(&Batch { buffers: batch.buffers.clone(), packets: vec![packet] });
        }
    }
    let Watching { mut analyzer, mut watch, mut told, held, .. } = watching;
    let early = told.values().sum();
    analyzer.end();
    let (mut last, is_all) = analyzer.last_look(Timestamp::MIN, ROOM);
    assert!(is_all);
    last.anomalies.merge(source.take_anomalies());
    last.health.dropped = source.captures().iter().map(|capture| capture.drops).sum();
    let now = last.last.unwrap_or_default();
    let story = judge(last);
    let news = watch.hear(&story, now, Stage::Last, |_| false);
    news.findings.iter().for_each(|at| note(&mut told, &story.findings[*at]));
    (told, early, counted(&story.analysis), held)
}

fn checked(path: &Path) -> Told {
    let mut checked = Told::new();
    support::tell_file(path).findings.iter().for_each(|finding| note(&mut checked, finding));
    checked
}

/// Where a watch tells something else than `check`, in words.
fn difference(path: &Path, told: &Told, checked: &Told) -> Option<String> {
    let more: Vec<_> = told.iter().filter(|(key, times)| checked.get(key) != Some(times)).collect();
    let less: Vec<_> = checked.iter().filter(|(key, times)| told.get(key) != Some(times)).collect();
    (told != checked).then(|| format!("{}: told {more:?}, checked {less:?}", path.display()))
}

#[test]
fn a_watch_tells_what_check_tells_of_the_whole_capture() {
    let (mut early, mut wrong) = (0, Vec::new());
    for path in support::captures() {
        let (told, before, figures, _) = watched(&path, Moments { seed: 0, step: None });
        early += before;
        wrong.extend(difference(&path, &told, &checked(&path)));
        let whole = counted(&support::tell_file(&path).analysis);
        if figures != whole {
            wrong.push(format!("{}: counted {figures}, checked {whole}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(early > 3, "only {early} findings were told before the end");
}

#[test]
fn it_does_so_whenever_it_looks() {
    let mut wrong = Vec::new();
    for path in support::captures() {
        let checked = checked(&path);
        for seed in 1..4 {
            let (told, ..) = watched(&path, Moments { seed, step: None });
            wrong.extend(difference(&path, &told, &checked));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_verdict_changes_when_the_clock_is_set_by_an_hour() {
    const HOUR: i64 = 3_600_000_000_000;
    let mut wrong = Vec::new();
    let paths = ["a05-register-wrong-password.pcap"].map(|name| support::root().join("testdata/captures").join(name));
    let traces =
        support::captures().into_iter().filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() < 20_000));
    for path in paths.into_iter().chain(traces) {
        let plain = watched(&path, Moments { seed: 0, step: None }).0;
        for nanos in [HOUR, -HOUR] {
            let (told, ..) = watched(&path, Moments { seed: 0, step: Some((3, nanos)) });
            wrong.extend(difference(&path, &told, &plain));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Packets of a classic capture.
pub(crate) struct Packets(pub(crate) Vec<u8>);

impl Packets {
    pub(crate) fn new() -> Self {
        let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes);
        Self(header.concat())
    }

    fn add(&mut self, millis: u32, frame: &[u8]) {
        let length = frame.len() as u32;
        for field in [1_700_000_000 + millis / 1000, millis % 1000 * 1000, length, length] {
            self.0.extend_from_slice(&u32::to_le_bytes(field));
        }
        self.0.extend_from_slice(frame);
    }

    pub(crate) fn sip(&mut self, millis: u32, src: u8, text: &str) {
        let dst = if src == 1 { 2 } else { 1 };
        let packet = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
        let packet = packet.ipv4([192, 0, 2, src], [192, 0, 2, dst], 64).udp(5060, 5060);
        let mut frame = Vec::new();
        packet.write(&mut frame, text.as_bytes()).unwrap();
        self.add(millis, &frame);
    }

    /// A BYE for a call that the other side does not know, which refuses it: an error that is proved at once.
    fn refused(&mut self, millis: u32, id: &str) {
        self.sip(millis, 1, &sip("BYE sip:b@192.0.2.2 SIP/2.0", id, ";tag=t", "2 BYE"));
        self.sip(millis + 1, 2, &sip("SIP/2.0 481 Call/Transaction Does Not Exist", id, ";tag=t", "2 BYE"));
    }

    /// The first packet of a TCP connection.
    fn syn(&mut self, millis: u32, n: u32) {
        let src = [10, (n >> 16) as u8, (n >> 8) as u8, n as u8];
        let packet = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(src, [192, 0, 2, 2], 64);
        let mut frame = Vec::new();
        packet.tcp(1024 + (n % 60_000) as u16, 5060, n, 65_535).syn().write(&mut frame, &[]).unwrap();
        self.add(millis, &frame);
    }

    /// The first fragment of a datagram of which no other comes.
    fn fragment(&mut self, millis: u32, n: u32) {
        let mut header = etherparse::Ipv4Header::new(
            1200,
            64,
            etherparse::IpNumber::UDP,
            [10, 0, (n >> 16) as u8, 1],
            [192, 0, 2, 2],
        )
        .unwrap();
        (header.identification, header.more_fragments, header.dont_fragment) = (n as u16, true, false);
        let mut frame = vec![2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0];
        header.header_checksum = header.calc_header_checksum();
        header.write(&mut frame).unwrap();
        frame.resize(frame.len() + 1200, b'x');
        self.add(millis, &frame);
    }
}

pub(crate) fn sip(start: &str, id: &str, to: &str, cseq: &str) -> String {
    let branch = cseq.replace(' ', "");
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{id}{branch}\r\nMax-Forwards: 70\r\nFrom: <sip:a@192.0.2.1>;tag=f{id}\r\n\
         To: <sip:b@192.0.2.2>{to}\r\nCall-ID: {id}\r\nCSeq: {cseq}\r\nContact: <sip:b@192.0.2.2>\r\nContent-Length: 0\r\n\r\n"
    )
}

const INVITE: &str = "INVITE sip:b@192.0.2.2 SIP/2.0";

/// What a flood is made of: the n-th packet of it.
type Flood = fn(&mut Packets, u32, u32);

/// 20 s of flood, and an ordinary call at its first quarter.
fn flood(packets: u32, add: Flood) -> Vec<u8> {
    let mut all = Packets::new();
    for n in 0..packets {
        let millis = n * 20_000 / packets;
        add(&mut all, millis, n);
        if n == packets / 4 {
            all.refused(millis, "refused");
        }
    }
    all.0
}

/// The most memory that the process with this number had, in KiB.
fn most_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// What the program tells of a capture on standard input, and the most memory that it had in KiB.
fn heard(whole: &[u8], limit: &str) -> (Vec<Value>, u64) {
    let (mut child, came) = listening(&["--max-memory", limit, "-"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut most = 0;
    for piece in whole.chunks(1 << 16) {
        stdin.write_all(piece).unwrap();
        most = most.max(most_memory(&child).unwrap_or(0));
    }
    drop(stdin);
    let mut told = Vec::new();
    for line in came {
        // Most of it is told at the end, while it is still there.
        most = most.max(most_memory(&child).unwrap_or(0));
        told.push(serde_json::from_str(&line).unwrap());
    }
    assert!(child.wait().unwrap().code().is_some());
    (told, most)
}

/// Whether the error of the ordinary call was told.
fn refusal_is_told(told: &[Value]) -> bool {
    told.iter().any(|line| line["type"] == "finding" && line["call_id"] == "refused" && line["severity"] == "error")
}

#[test]
fn a_flood_of_calls_stays_within_its_memory_and_says_what_it_gave_up() {
    const INVITES: u32 = 40_000;
    let whole = flood(INVITES, |all, millis, n| {
        all.sip(millis, 1, &sip(INVITE, &format!("flood-{n}"), "", "1 INVITE"));
    });
    let (told, most) = heard(&whole, "32M");
    let summary = told.last().unwrap();
    assert_eq!(summary["sip"]["messages"].as_u64(), Some(u64::from(INVITES) + 2));
    assert_eq!(summary["calls"].as_u64(), Some(u64::from(INVITES) + 1));
    let anomalies = summary["anomalies"].to_string();
    assert!(anomalies.contains("given up to keep below --max-memory"), "{anomalies}");
    assert!(refusal_is_told(&told));
    println!("most memory: {} MiB", most >> 10);
    assert!(most < 100 << 10, "{most} KiB");
}

#[test]
fn other_floods_leave_ordinary_calls_their_verdicts_and_memory_its_limit() {
    let floods: [(&str, u32, Flood); 4] = [
        ("one giant call", 20_000, |all, millis, n| {
            all.sip(millis, 1, &sip("INFO sip:b@192.0.2.2 SIP/2.0", "giant", ";tag=t", &format!("{} INFO", n + 1)));
        }),
        ("SYN", 40_000, |all, millis, n| all.syn(millis, n)),
        ("fragments", 40_000, |all, millis, n| all.fragment(millis, n)),
        ("BYE for unknown calls", 20_000, |all, millis, n| {
            all.sip(millis, 1, &sip("BYE sip:b@192.0.2.2 SIP/2.0", &format!("none-{n}"), ";tag=t", "2 BYE"));
        }),
    ];
    for (name, packets, add) in floods {
        let (told, most) = heard(&flood(packets, add), "64M");
        println!("{name}: most memory: {} MiB", most >> 10);
        assert_eq!(told.last().unwrap()["type"], "summary", "{name}");
        assert!(refusal_is_told(&told), "{name}");
        assert!(most < 220 << 10, "{name}: {most} KiB");
    }
}

/// A watch of so many calls that were answered and go on, each looked at once.
fn with_open_calls(calls: u32) -> (Watching, Timestamp) {
    let mut all = Packets::new();
    for n in 0..calls {
        let (id, millis) = (format!("open-{n}"), n % 1000);
        all.sip(millis, 1, &sip(INVITE, &id, "", "1 INVITE"));
        all.sip(millis, 2, &sip("SIP/2.0 200 OK", &id, ";tag=t", "1 INVITE"));
        all.sip(millis, 1, &sip("ACK sip:b@192.0.2.2 SIP/2.0", &id, ";tag=t", "1 ACK"));
    }
    let mut watching = Watching::new(Vec::new());
    let path = std::env::temp_dir().join(format!("callflow-looks-{}.pcap", std::process::id()));
    fs::write(&path, &all.0).unwrap();
    let (mut source, mut batch) = (capture::open(std::slice::from_ref(&path)).source, Batch::default());
    while source.next_batch(&mut batch).is_ok_and(|more| more == More::More) {
        watching.analyzer.push(&batch);
    }
    fs::remove_file(path).unwrap();
    (watching, Timestamp::from_nanos(1_700_000_001_000_000_000))
}

const TURNS: u32 = 144;

/// A day: a refresh each ten minutes, of which the tenth is refused and the twentieth comes too late; or none is, until they
/// end. Somebody asks for options every half minute under one Call-ID.
fn refreshed_for_a_day(until: u32) -> Packets {
    const CREDENTIALS: &str =
        "Authorization: Digest username=\"a\",realm=\"r\",nonce=\"N\",uri=\"sip:b@192.0.2.2\",response=\"0\"\r\n";
    const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"r\",nonce=\"N\"\r\n";
    let mut all = Packets::new();
    let ask = |all: &mut Packets, millis, src, start: &str, id: &str, tag: &str, cseq: String, more: &str| {
        let text = sip(start, id, tag, &cseq).replace("Content-Length", &format!("{more}Content-Length"));
        all.sip(millis, src, &text);
    };
    for beat in 0..2880_u32 {
        let millis = beat * 30_000;
        ask(&mut all, millis, 1, "OPTIONS sip:b@192.0.2.2 SIP/2.0", "ping", "", format!("{} OPTIONS", beat + 1), "");
        ask(&mut all, millis + 5, 2, "SIP/2.0 200 OK", "ping", ";tag=p", format!("{} OPTIONS", beat + 1), "");
        let turn = beat / 20;
        if beat % 20 != 0 || (turn == 20 && until == TURNS) || turn >= until {
            continue;
        }
        for step in 0..2 {
            let (cseq, nonce) = (format!("{} REGISTER", 2 * turn + step + 1), format!("n{turn}"));
            let proof = if step == 0 { String::new() } else { CREDENTIALS.replace('N', &nonce) };
            let at = millis + 10 + step * 10;
            ask(
                &mut all,
                at,
                1,
                "REGISTER sip:192.0.2.2 SIP/2.0",
                "phone",
                "",
                cseq.clone(),
                &format!("{proof}Expires: 900\r\n"),
            );
            let (status, more) = match step {
                0 => ("SIP/2.0 401 Unauthorized", CHALLENGE.replace('N', &nonce)),
                _ if turn == 10 && until == TURNS => ("SIP/2.0 403 Forbidden", String::new()),
                _ => ("SIP/2.0 200 OK", "Expires: 900\r\n".to_owned()),
            };
            ask(&mut all, at + 5, 2, status, "phone", ";tag=p", cseq, &more);
        }
    }
    all
}

#[test]
fn what_is_refreshed_for_days_is_judged_and_its_past_leaves_memory() {
    for until in [TURNS, 100] {
        let all = refreshed_for_a_day(until);
        let path = std::env::temp_dir().join(format!("callflow-refreshed-{}.pcap", std::process::id()));
        fs::write(&path, &all.0).unwrap();
        let checked = checked(&path);
        let whole = counted(&support::tell_file(&path).analysis);
        let (told, _, figures, held) = watched(&path, Moments { seed: 0, step: None });
        fs::remove_file(&path).unwrap();
        assert_eq!(checked.len(), if until == TURNS { 2 } else { 1 }, "{checked:?}");
        // What check tells once of a call, a watch tells again when it comes again after the first time was done with.
        let what =
            |told: &Told| told.keys().map(|(rule, verdict, _)| format!("{rule} {verdict}")).collect::<BTreeSet<_>>();
        assert!(checked.keys().all(|one| told.contains_key(one)), "told {told:?}, checked {checked:?}");
        assert_eq!(what(&told), what(&checked));
        assert_eq!(
            told.values().sum::<usize>(),
            checked.values().sum::<usize>() + usize::from(until == TURNS),
            "the late one: {told:?}"
        );
        assert_eq!(figures, whole);
        assert!(held < 150_000, "{held} bytes held of {}", all.0.len());
    }
}

#[test]
fn calls_to_which_nothing_happens_are_not_looked_at() {
    let (mut watching, start) = with_open_calls(400);
    watching.look(start);
    assert_eq!((watching.judged, watching.watch.open()), (400, 400));
    for seconds in 1..600 {
        watching.look(start.after(Duration::from_secs(seconds)));
    }
    // A few times each, while what may be missing could have come.
    assert!(watching.judged <= 400 * 16, "{} calls judged in 10 minutes", watching.judged);
    let judged = watching.judged;
    for seconds in 600..4000 {
        watching.look(start.after(Duration::from_secs(seconds)));
    }
    assert_eq!((watching.judged, watching.watch.open()), (judged, 400));
    let bytes = watching.analyzer.held();
    assert!((400 * 3 * 400..400 * 3 * 4000).contains(&bytes), "{bytes}");
    watching.look(start.after(Duration::from_secs(13 * 3600)));
    assert_eq!((watching.watch.open(), watching.analyzer.held()), (0, 0));
}

#[test]
fn a_giant_call_is_not_built_again_each_second() {
    let mut watching = Watching::new(Vec::new());
    let (mut built, mut looks) = (0, 0);
    for second in 0..40_u32 {
        let mut all = Packets::new();
        for n in 0..500 {
            let cseq = format!("{} INFO", second * 500 + n + 1);
            all.sip(second * 1000, 1, &sip("INFO sip:b@192.0.2.2 SIP/2.0", "giant", ";tag=t", &cseq));
        }
        let path = std::env::temp_dir().join(format!("callflow-giant-{}.pcap", std::process::id()));
        fs::write(&path, &all.0).unwrap();
        let (mut source, mut batch) = (capture::open(std::slice::from_ref(&path)).source, Batch::default());
        while source.next_batch(&mut batch).is_ok_and(|more| more == More::More) {
            watching.analyzer.push(&batch);
        }
        fs::remove_file(path).unwrap();
        let now = Timestamp::from_nanos((1_700_000_001 + i64::from(second)) * 1_000_000_000);
        let analysis = watching.analyzer.look(now, ROOM);
        (built, looks) = (built + analysis.seen.len(), looks + usize::from(!analysis.seen.is_empty()));
        watching.analyzer.forget(&analysis, |_| Some(Stay { due: now.after(Duration::from_secs(1)), done: 0 }));
    }
    // Each second would be 410,000.
    assert!(looks > 3 && built < 80_000, "{built} messages built in {looks} looks");
}
