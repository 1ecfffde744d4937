//! What a shell wants of a program: completions, man pages, colours, quiet and verbose, pipes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const HEALTHY: &str = "testdata/captures/a11-session-two-proxies.pcap";
const WRONG_PASSWORD: &str = "testdata/captures/a05-register-wrong-password.pcap";

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = out(&run(&["-h"]));
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn completions_know_every_command_and_option() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
        let script = out(&output);
        for word in commands().iter().map(String::as_str).chain(["fail-on", "keylog", "no-config"]) {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn bash_takes_its_completions() {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions.bash");
    std::fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    let asked = "source \"$0\" && COMP_WORDS=(callflow lad) && COMP_CWORD=1 && _callflow callflow lad callflow && echo \"${COMPREPLY[@]}\"";
    match Command::new("bash").args(["-c", asked]).arg(&script).output() {
        Ok(output) => assert_eq!(out(&output), "ladder\n", "{}", err(&output)),
        Err(why) => eprintln!("skipped: bash cannot be started: {why}"),
    }
}

#[test]
fn there_is_a_man_page_for_each_command_and_it_is_the_same_each_time() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man/man1");
    let _ = std::fs::remove_dir_all(&folder);
    let made = run(&["man", "-o", folder.to_str().unwrap()]);
    assert_eq!((made.status.code(), out(&made).as_str(), err(&made).as_str()), (Some(0), "", ""));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let main = read("callflow.1");
    assert!(main.starts_with(".ie \\n(.g") || main.contains(".TH callflow 1"), "{main}");
    for command in commands() {
        let page = read(&format!("callflow-{command}.1"));
        assert!(page.contains(&format!(".TH callflow-{command} 1")) && page.contains(".SH OPTIONS"), "{page}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), commands().len() + 1);
    run(&["man", "-o", folder.to_str().unwrap()]);
    assert_eq!(read("callflow.1"), main);
    assert_eq!(run(&["man"]).status.code(), Some(2));
    let no_folder = run(&["man", "-o", "Cargo.toml"]);
    assert_eq!(no_folder.status.code(), Some(3));
    assert!(err(&no_folder).contains("Cargo.toml"), "{}", err(&no_folder));
}

#[test]
fn the_long_version_says_what_is_built_in() {
    let short = out(&run(&["-V"]));
    assert_eq!(short, format!("callflow {}\n", env!("CARGO_PKG_VERSION")));
    let long = out(&run(&["--version"]));
    assert!(long.starts_with(&short), "{long}");
    for line in ["libpcap ", "captures: pcap, pcapng", "reports: text, json, ndjson", "secured: TLS"] {
        assert!(long.lines().any(|told| told.starts_with(line)), "{line}: {long}");
    }
}

#[test]
fn quiet_says_the_verdict_or_nothing() {
    let good = run(&["check", "--quiet", HEALTHY]);
    assert_eq!((good.status.code(), out(&good).as_str(), err(&good).as_str()), (Some(0), "", ""));
    let bad = run(&["check", "-q", WRONG_PASSWORD]);
    assert_eq!((bad.status.code(), err(&bad).as_str()), (Some(1), ""));
    assert_eq!(out(&bad), "✗ PROBLEM  2 registrations, all with errors: A04 credentials-refused\n");
    let json = run(&["check", "-q", "--format", "json", HEALTHY]);
    assert_eq!(out(&json), out(&run(&["check", "--format", "json", HEALTHY])), "what was asked for is given");
    let missing = run(&["check", "-q", "no-such-file.pcap"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(err(&missing).contains("no-such-file.pcap"), "errors are no notes");
    assert_eq!(run(&["check", "-q", "-v", HEALTHY]).status.code(), Some(2));
}

#[test]
fn verbose_says_on_stderr_what_every_stage_did_in_counts() {
    let usual = run(&["check", HEALTHY]);
    let verbose = run(&["check", "--verbose", HEALTHY]);
    assert_eq!(out(&verbose), out(&usual), "the report is the same");
    let told = err(&verbose);
    let read = format!("callflow: read: {HEALTHY}: pcap, ");
    for line in [
        "callflow: configuration: none",
        &read,
        "callflow: decoded: SIP over UDP: ",
        "callflow: parsed: ",
        "callflow: built: ",
        "callflow: compared: 2 of 2 calls with a reference flow",
        "callflow: judged: ",
    ] {
        assert!(told.lines().any(|said| said.starts_with(line)), "{line}: {told}");
    }
    assert_eq!(told, err(&run(&["check", "-v", "--threads", "1", HEALTHY])), "counts, not times");
}

#[test]
fn colours_follow_the_usual_variables() {
    let coloured = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = program();
        command.envs(variables.iter().copied()).args(["check", WRONG_PASSWORD]).args(args);
        out(&command.output().unwrap()).contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]), "no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!coloured(&[("NO_COLOR", "1")], &[]));
    assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]), "whoever says so on the command line gets it");
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-colour.txt");
    program().env("CLICOLOR_FORCE", "1").args(["check", WRONG_PASSWORD, "-o"]).arg(&file).output().unwrap();
    assert!(!std::fs::read_to_string(&file).unwrap().contains('\u{1b}'), "a file is no screen");
}

#[test]
fn a_pager_that_is_left_early_is_success_for_every_command_that_prints() {
    for args in [&["completions", "bash"][..], &["rules"], &["config"], &["check", "-v", WRONG_PASSWORD]] {
        let mut child = program().args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
}
