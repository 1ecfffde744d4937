//! Digest responses computed again: those of the lab captures, every part that can be wrong, and that no
//! secret is ever told. `cargo test --test it digest -- --nocapture` prints the tables.

use crate::support::{self, Told};
use callflow::rules::{self, Finding, Knowledge, Passwords};
use callflow::sip::{Algorithm, Calculation, Credentials, Secret};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The password of bob and alice on the lab's servers.
const RIGHT: &str = "zanzibar";
/// Those that were typed in wrongly on purpose.
const WRONG: [&str; 2] = ["wrongpass", "wrong"];

fn password(text: &str) -> Secret {
    Secret::Password(text.as_bytes().into())
}

fn knowledge(text: &str) -> Knowledge {
    Knowledge { passwords: Passwords::parse(text.as_bytes()).unwrap(), ..Knowledge::default() }
}

/// The findings when these passwords are given.
fn findings(told: &Told, passwords: &str) -> Vec<Finding> {
    rules::check_with(&told.analysis, &told.flows, &knowledge(passwords))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned()
}

/// Which password gives each response of a capture: (method, user name, password) and how often.
fn recomputed(told: &Told) -> BTreeMap<(String, String, &'static str), usize> {
    let mut counts = BTreeMap::new();
    for seen in &told.analysis.seen {
        let message = &seen.message;
        let method = message.method_name();
        for sent in message.credentials() {
            let calculation = Calculation::of(&sent, method.as_bytes(), message.body()).unwrap();
            let gives = |text: &&str| calculation.response(&password(text)).unwrap().as_bytes() == sent.response;
            let found = [RIGHT, WRONG[0], WRONG[1], ""].into_iter().find(gives).unwrap_or("(unknown)");
            let user = String::from_utf8_lossy(sent.username).into_owned();
            *counts.entry((method.to_string(), user, found)).or_default() += 1;
        }
    }
    counts
}

#[test]
fn the_responses_of_the_lab_come_out_with_the_right_password() {
    let mut table = String::new();
    let mut right = 0;
    for path in support::captures() {
        let told = support::tell_file(&path);
        for ((method, user, found), count) in recomputed(&told) {
            let name = name(&path);
            writeln!(table, "{name:34} {method:9} {user:7} {count:3}  {found:?}").unwrap();
            let expected: &[&str] = match name.as_str() {
                "a05-register-wrong-password" => &WRONG[..1],
                "b07-auth-loop" => &WRONG,
                // sipsak without a password, under the name "bob@".
                "b01-auth-retry-missing-register" => &[""],
                // A guesser: nobody knows what it tried.
                "b26-scan-sipvicious" => &["(unknown)"],
                _ => &[RIGHT],
            };
            assert!(expected.contains(&found), "{name}: {method} of {user} comes out with {found:?}");
            right += if found == RIGHT { count } else { 0 };
        }
    }
    eprintln!("{table}");
    assert!(right > 20, "only {right} responses came out");
}

#[test]
fn passwords_change_no_finding_but_its_words() {
    for path in support::captures() {
        let told = support::tell_file(&path);
        let with = findings(&told, "bob * zanzibar\nalice atlanta.example.com wrong\n");
        let key =
            |finding: &Finding| (finding.rule.code, finding.severity, finding.verdict.name(), finding.frames.clone());
        let expected: Vec<_> = told.findings.iter().map(key).collect();
        assert_eq!(with.iter().map(key).collect::<Vec<_>>(), expected, "{}", path.display());
    }
}

#[test]
fn the_lab_s_wrong_passwords_are_told() {
    let summaries = |name: &str, passwords: &str| -> String {
        let told = support::tell_file(&support::root().join(format!("testdata/captures/{name}.pcap")));
        findings(&told, passwords).iter().flat_map(|finding| [finding.summary.as_str(), "\n"]).collect()
    };
    let given = "bob * zanzibar\nalice * zanzibar\n";
    for name in ["a05-register-wrong-password", "b07-auth-loop"] {
        let found = summaries(name, given);
        assert!(found.contains("the password is not the given one"), "{found}");
    }
    let found = summaries("b01-auth-retry-missing-register", given);
    assert!(found.contains("\"bob@\" were refused: the password is empty"), "{found}");
    let found = summaries("a05-register-wrong-password", "bob biloxi.example.com wrongpass\n");
    assert!(found.contains("although their response is right"), "{found}");
}

/// What a client names in its credentials, or takes for its calculation.
#[derive(Clone, Copy)]
struct Values {
    user: &'static str,
    realm: &'static str,
    nonce: &'static str,
    uri: &'static str,
    algorithm: &'static str,
    qop: &'static str,
    nc: &'static str,
    method: &'static str,
    password: &'static str,
}

const PLAIN: Values = Values {
    user: "bob",
    realm: "biloxi.example",
    nonce: "n2",
    uri: "sip:biloxi.example",
    algorithm: "MD5",
    qop: "",
    nc: "00000002",
    method: "REGISTER",
    password: "zanzibar",
};
const CNONCE: &str = "5ca1ab1e";
const BODY: &str = "hello\r\n";

impl Values {
    fn response(self) -> String {
        let calculation = Calculation {
            // What is no digest algorithm gets any response.
            algorithm: Algorithm::named(self.algorithm.as_bytes()).unwrap_or(Algorithm::ALL[0]),
            username: self.user.as_bytes(),
            realm: self.realm.as_bytes(),
            nonce: self.nonce.as_bytes(),
            cnonce: CNONCE.as_bytes(),
            nc: self.nc.as_bytes(),
            qop: self.qop.as_bytes(),
            method: self.method.as_bytes(),
            uri: self.uri.as_bytes(),
            body: BODY.as_bytes(),
        };
        calculation.response(&password(self.password)).unwrap()
    }
}

/// A client that names one thing and computes with another, and what shall be said about it.
struct Case {
    what: &'static str,
    passwords: &'static str,
    offered: &'static str,
    named: Values,
    used: Values,
    says: &'static str,
}

const BOB: &str = "bob * zanzibar";
const MD5: &str = "algorithm=MD5";

/// What is named is also taken for the calculation.
fn honest(what: &'static str, passwords: &'static str, named: Values, says: &'static str) -> Case {
    Case { what, passwords, offered: MD5, named, used: named, says }
}

/// The calculation differs from what is named.
fn mixed(what: &'static str, named: Values, used: Values, says: &'static str) -> Case {
    Case { what, passwords: BOB, offered: MD5, named, used, says }
}

fn cases() -> Vec<Case> {
    let right = "although their response is right";
    let auth = Values { qop: "auth", ..PLAIN };
    vec![
        honest("nothing is wrong", BOB, PLAIN, right),
        honest("nothing is wrong, qop=auth", BOB, auth, right),
        honest("nothing is wrong, qop=auth-int", BOB, Values { qop: "auth-int", ..PLAIN }, right),
        Case {
            offered: "algorithm=SHA-256-sess",
            ..honest("SHA-256-sess", BOB, Values { algorithm: "SHA-256-sess", ..auth }, right)
        },
        Case {
            offered: "algorithm=SHA-512-256",
            ..honest("SHA-512-256", BOB, Values { algorithm: "SHA-512-256", ..auth }, right)
        },
        honest("ha1 is given", "bob biloxi.example ha1:52764fa139e4159ef2ccde9868b45646", PLAIN, right),
        honest(
            "ha1 of another password",
            "bob * ha1:00000000000000000000000000000001",
            PLAIN,
            "the password is not the given one",
        ),
        honest("password", "bob * sesame", PLAIN, "the password is not the given one"),
        honest(
            "password of another realm",
            "bob biloxi.example x\nbob atlanta.example zanzibar",
            PLAIN,
            "the password is the one for the realm \"atlanta.example\"",
        ),
        honest(
            "password of another user",
            "bob * x\neve * zanzibar",
            PLAIN,
            "the password is that of another user, \"eve\"",
        ),
        honest("empty password", BOB, Values { password: "", ..PLAIN }, "the password is empty"),
        honest(
            "user name with domain",
            BOB,
            Values { user: "bob@biloxi.example", ..PLAIN },
            "the password is that of \"bob\"",
        ),
        honest(
            "user name without domain",
            "bob@biloxi.example * zanzibar",
            PLAIN,
            "the password is that of \"bob@biloxi.example\"",
        ),
        honest(
            "realm",
            "bob biloxi.example zanzibar",
            Values { realm: "atlanta.example", ..PLAIN },
            "they are right, but for the realm \"atlanta.example\" and not for \"biloxi.example\"",
        ),
        honest(
            "algorithm that was not offered",
            BOB,
            Values { algorithm: "SHA-256", ..PLAIN },
            "they use SHA-256, which was not offered",
        ),
        mixed(
            "user name in the hash",
            PLAIN,
            Values { user: "bob@biloxi.example", ..PLAIN },
            "for the user name \"bob@biloxi.example\"",
        ),
        mixed(
            "realm in the hash",
            PLAIN,
            Values { realm: "", ..PLAIN },
            "for the realm \"\" instead of the \"biloxi.example\"",
        ),
        mixed(
            "digest URI",
            Values { uri: "sip:192.0.2.9", ..PLAIN },
            PLAIN,
            "for the URI \"sip:biloxi.example\" instead of the \"sip:192.0.2.9\"",
        ),
        mixed("method", PLAIN, Values { method: "INVITE", ..PLAIN }, "for the method INVITE instead of REGISTER"),
        mixed("old nonce", PLAIN, Values { nonce: "n1", ..PLAIN }, "with the nonce of an earlier challenge"),
        mixed(
            "nonce count",
            auth,
            Values { nc: "00000001", ..auth },
            "with the nonce count 00000001 instead of 00000002",
        ),
        mixed("qop named, not used", auth, PLAIN, "as if without qop"),
        mixed("qop used, not named", PLAIN, auth, "with qop=auth"),
        Case {
            offered: "algorithm=SHA-256",
            ..mixed("algorithm", Values { algorithm: "SHA-256", ..PLAIN }, PLAIN, "with MD5 instead of SHA-256")
        },
    ]
}

impl Case {
    /// The header with what is named and the response of what is used.
    fn credentials(&self) -> String {
        let Values { user, realm, nonce, uri, algorithm, qop, nc, .. } = self.named;
        let quality = if qop.is_empty() { format!("nc={nc}") } else { format!("qop={qop}, nc={nc}") };
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm={algorithm}, cnonce=\"{CNONCE}\", {quality}, response=\"{}\"\n",
            self.used.response()
        )
    }

    fn challenge(&self, nonce: &str) -> String {
        format!(
            "401 Unauthorized\nWWW-Authenticate: Digest realm=\"biloxi.example\", nonce=\"{nonce}\", {}",
            self.offered
        )
    }

    /// Two REGISTERs without credentials, then one with them that is challenged again.
    fn told(&self) -> Told {
        let steps = [
            (String::new(), self.challenge("n1")),
            (String::new(), self.challenge("n2")),
            (self.credentials(), self.challenge("n3")),
        ];
        support::tell(&trace(&steps))
    }
}

/// REGISTERs with these headers, and how each is answered.
fn trace(steps: &[(String, String)]) -> String {
    let mut text = String::new();
    for (n, (header, answer)) in steps.iter().enumerate() {
        let headers = format!(
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-{n}\nFrom: <sip:bob@biloxi.example>;tag=a\n\
             Call-ID: digest@example\nCSeq: {} REGISTER\nContent-Length: auto\n",
            n + 1
        );
        let _ = write!(
            text,
            "@{n}.0 udp 192.0.2.1:5060 > 192.0.2.9:5060\nREGISTER sip:biloxi.example SIP/2.0\n{headers}{header}\
             To: <sip:bob@biloxi.example>\nMax-Forwards: 70\nContent-Type: text/plain\n\n{}\n\
             @{n}.1 udp 192.0.2.9:5060 > 192.0.2.1:5060\nSIP/2.0 {answer}\n{headers}To: <sip:bob@biloxi.example>;tag=b\n\n",
            BODY.trim_end()
        );
    }
    text + "@60.0 end\n"
}

#[test]
fn each_wrong_part_is_named() {
    let mut wrong = Vec::new();
    for case in cases() {
        let found = findings(&case.told(), case.passwords);
        let summary = found.iter().find(|f| f.rule.code == "A04").map_or("(no A04)", |finding| &finding.summary);
        let tail = summary.split("were refused").nth(1).unwrap_or(summary);
        eprintln!("{:32} {tail}", case.what);
        if !tail.contains(case.says) {
            wrong.push(format!("{}: {summary}", case.what));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_decided_is_said() {
    let aka =
        Case { offered: "algorithm=AKAv1-MD5", ..honest("", BOB, Values { algorithm: "AKAv1-MD5", ..PLAIN }, "") };
    let sha = Values { algorithm: "SHA-256", ..PLAIN };
    let short = "bob * ha1:00000000000000000000000000000001";
    for (case, says) in [
        (aka, "Responses of the algorithm \"AKAv1-MD5\" cannot be computed again."),
        (honest("", "eve * x", PLAIN, ""), "No password is given for the user name \"bob\""),
        (Case { offered: "algorithm=SHA-256", ..honest("", short, sha, "") }, "is not one for the algorithm SHA-256"),
    ] {
        let found = findings(&case.told(), case.passwords);
        let finding = found.iter().find(|finding| finding.rule.code == "A04").unwrap();
        assert!(finding.detail.contains(says), "{}", finding.detail);
        assert!(finding.summary.ends_with("were refused"), "{}", finding.summary);
    }
}

#[test]
fn a_hashed_user_name_finds_its_account() {
    let case = honest("", BOB, PLAIN, "");
    let hash = Algorithm::ALL[0].digest(&[b"bob", b"biloxi.example"]);
    let hashed = case.credentials().replace("username=\"bob\"", &format!("username=\"{hash}\", userhash=true"));
    let steps = [(String::new(), case.challenge("n2")), (hashed, case.challenge("n3"))];
    let found = findings(&support::tell(&trace(&steps)), BOB);
    assert!(found.iter().any(|f| f.summary.ends_with("although their response is right")), "{found:#?}");
}

#[test]
fn letters_and_bodies_are_mistakes_too() {
    let case = honest("", BOB, Values { qop: "auth-int", ..PLAIN }, "");
    let right = case.used.response();
    let of = |body: &[u8]| {
        let Values { user, realm, nonce, uri, nc, qop, .. } = case.used;
        let [username, realm, nonce, uri, nc, qop] = [user, realm, nonce, uri, nc, qop].map(str::as_bytes);
        let sent =
            Credentials { username, realm, nonce, uri, nc, qop, cnonce: CNONCE.as_bytes(), ..Credentials::default() };
        Calculation::of(&sent, b"REGISTER", body).unwrap().response(&password("zanzibar")).unwrap()
    };
    assert_eq!(of(BODY.as_bytes()), right);
    for (response, says) in [(right.to_uppercase(), "in capital letters"), (of(b""), "over an empty body")] {
        let credentials = case.credentials().replace(&right, &response);
        let steps = [(String::new(), case.challenge("n2")), (credentials, case.challenge("n3"))];
        let found = findings(&support::tell(&trace(&steps)), BOB);
        assert!(found.iter().any(|f| f.summary.ends_with(says)), "{says}: {found:#?}");
    }
}

/// The other rules of the family: what they say with the right and with a wrong password.
#[test]
fn every_rule_about_refused_credentials_tells_the_part() {
    let case = honest("", BOB, PLAIN, "");
    let with = |nonce: &'static str| {
        let values = Values { nonce, ..PLAIN };
        Case { named: values, used: values, ..honest("", BOB, PLAIN, "") }.credentials()
    };
    let plain = (String::new(), case.challenge("n1"));
    let stale = |nonce: &str| case.challenge(nonce) + ", stale=true";
    let looping = [
        plain.clone(),
        (with("n1"), case.challenge("n2")),
        (with("n2"), case.challenge("n3")),
        (with("n3"), case.challenge("n4")),
    ];
    let again = [plain.clone(), (with("n1"), case.challenge("n2")), (with("n1"), case.challenge("n3"))];
    let old = [plain.clone(), (with("n1"), stale("n2")), (with("n2"), "200 OK".to_owned())];
    let forbidden = [plain.clone(), (with("n1"), "403 Forbidden".to_owned())];
    let replaced = [plain.clone(), (String::new(), case.challenge("n2")), (with("n1"), case.challenge("n3"))];
    let (right, wrong) = ("the response is right", "the password is not the given one");
    for (code, steps, says, else_says) in [
        ("A05", &old[..], right, wrong),
        ("A06", &looping, "although their response is right", wrong),
        ("A07", &again, "although their response is right", wrong),
        ("A10", &replaced, "the response is right for that nonce", "the client has another password"),
        ("A14", &forbidden, "although their response is right", wrong),
    ] {
        let told = support::tell(&trace(steps));
        for (passwords, says) in [(BOB, says), ("bob * sesame", else_says)] {
            let found = findings(&told, passwords);
            let finding = found.iter().find(|f| f.rule.code == code).unwrap_or_else(|| panic!("no {code}: {found:#?}"));
            let text = format!("{} {}", finding.summary, finding.detail);
            assert!(text.contains(says), "{code}: {text}");
        }
    }
}

#[test]
fn the_file_in_the_documentation_is_read() {
    let page = std::fs::read_to_string(support::root().join("docs/usage.md")).unwrap();
    let section = page.split("## Passwords\n").nth(1).unwrap();
    let example = section.split("```\n").nth(1).unwrap();
    assert!(example.contains("bob") && !Passwords::parse(example.as_bytes()).unwrap().is_empty(), "{example}");
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let output = command.args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn scratch(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Responses and client nonces of a capture.
fn secrets(told: &Told) -> Vec<String> {
    let messages = told.analysis.seen.iter().map(|seen| &seen.message);
    let of = |sent: Credentials<'_>| [sent.response, sent.cnonce].map(|s| String::from_utf8_lossy(s).into_owned());
    let found = messages.flat_map(|message| message.credentials().flat_map(of).collect::<Vec<_>>());
    found.filter(|secret| !secret.is_empty()).collect()
}

#[test]
fn no_secret_is_ever_told() {
    let passwords = "bob * zanzibar\nalice * wrongpass\ncarol * \"ha1:sesame street\"\ndave * ha1:0123456789abcdef0123456789abcdef\n";
    let file = scratch("passwords-secret.txt", passwords);
    let file = file.to_str().unwrap();
    let mut commands: Vec<Vec<&str>> =
        vec![vec!["calls"], vec!["ladder", "--all"], vec!["show"], vec!["stats"], vec!["stats", "--format", "json"]];
    for format in callflow::report::FORMATS {
        commands.push(vec!["check", "--format", format.name()]);
        if format.whole().is_none() {
            commands.push(vec!["calls", "--format", format.name()]);
        }
    }
    let mut checked = 0;
    for path in support::captures() {
        let mut hidden = secrets(&support::tell_file(&path));
        if hidden.is_empty() {
            continue;
        }
        hidden.extend(["zanzibar", "wrongpass", "sesame", "0123456789abcdef"].map(str::to_owned));
        let keys = path.with_extension("keylog");
        for command in &commands {
            let mut args = command.clone();
            args.extend([path.to_str().unwrap(), "--passwords", file]);
            if keys.exists() {
                args.extend(["--keylog", keys.to_str().unwrap()]);
            }
            if command == &["show"] {
                args.extend(["--since", "+0"]);
            }
            let (code, out, err) = run(&args);
            assert!(matches!(code, Some(0 | 1)) && !out.is_empty(), "{args:?}: {code:?} {err}");
            for secret in &hidden {
                assert!(!out.contains(secret) && !err.contains(secret), "{args:?} tells {secret}");
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} runs");
}

#[test]
fn a_bad_file_of_passwords_is_2_and_names_its_line() {
    let capture = "testdata/captures/a05-register-wrong-password.pcap";
    let file = scratch("passwords-bad.txt", "# accounts\nbob * zanzibar\nalice zanzibar\n");
    let file = file.to_str().unwrap();
    let (code, out, err) = run(&["check", "--passwords", file, capture]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains(&format!("{file}:3: ")) && !err.contains("zanzibar"), "{err}");
    let (code, out, err) = run(&["check", "--passwords", "no-such-file", capture]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
}
