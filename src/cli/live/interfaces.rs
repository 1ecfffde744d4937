//! `callflow live --list-interfaces`.

use crate::capture::{self, Interface};
use crate::cli::args::LiveFormat;
use crate::cli::catalog;
use crate::cli::output::Output;
use crate::cli::{Status, Stop};
use crate::report::{Style, escape};
use serde_json::json;
use std::io::{self, Write};

/// Lists the interfaces there are.
pub(super) fn list(format: LiveFormat, mut output: Output) -> Result<Status, Stop> {
    let all = capture::interfaces()?;
    match format {
        LiveFormat::Ndjson => all.iter().try_for_each(|one| writeln!(output.out, "{}", line(one)))?,
        LiveFormat::Text => text(&all, output.style, &mut output.out)?,
    }
    output.out.flush()?;
    Ok(Status::Clean)
}

fn text(all: &[Interface], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let cells = |one: &Interface| {
        let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        [escape::text(&one.name).into_owned(), addresses.join(" "), escape::text(&one.description).into_owned()]
    };
    let cells: Vec<[String; 3]> = all.iter().map(cells).collect();
    let rows =
        (all.iter().zip(&cells)).map(|(one, [name, addresses, about])| vec![&**name, state(one), addresses, about]);
    catalog::write_table(&["interface", "state", "addresses", "description"], rows, style, out)
}

fn line(one: &Interface) -> serde_json::Value {
    let description = Some(&one.description).filter(|words| !words.is_empty());
    json!({
        "type": "interface",
        "name": one.name,
        "state": state(one),
        "addresses": one.addresses,
        "description": description,
    })
}

fn state(one: &Interface) -> &'static str {
    match (one.is_up, one.is_running) {
        (false, _) => "down",
        (true, false) => "no-carrier",
        (true, true) => "up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(is_up: bool, is_running: bool) -> Interface {
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        Interface { name: "eth0".to_owned(), description: String::new(), is_up, is_running, addresses }
    }

    #[test]
    fn an_interface_is_up_without_carrier_or_down() {
        let states =
            [(true, true), (true, false), (false, true), (false, false)].map(|(up, runs)| state(&interface(up, runs)));
        assert_eq!(states, ["up", "no-carrier", "down", "down"]);
    }

    #[test]
    fn programs_and_people_are_told_the_same_of_an_interface() {
        assert_eq!(
            line(&interface(true, true)).to_string(),
            r#"{"type":"interface","name":"eth0","state":"up","addresses":["192.0.2.1","2001:db8::1"],"description":null}"#
        );
        let mut out = Vec::new();
        text(&[interface(true, true)], Style::default(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(["eth0", "up", "192.0.2.1 2001:db8::1"].iter().all(|word| out.contains(word)), "{out}");
    }
}
