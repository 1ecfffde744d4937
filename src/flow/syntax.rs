//! The language of .flow files: text to [`ReferenceFlow`] (`print.rs`: and back). docs/flows.md teaches it.

use super::fact::Fact;
use super::model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
use super::token::{Contact, Verb};
use super::words::nearest;
use crate::base::Error;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1, space0, space1};
use nom::combinator::{map, opt, recognize, verify};
use nom::multi::separated_list1;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// Blocks within blocks; the standard's flows need three.
const DEPTH: usize = 16;
/// Runs in one `any order`: more make the automaton explode.
const RUNS: usize = 4;
/// Messages in one `any order`, for the same reason.
const RUN_STEPS: usize = 12;

/// Parses the text of a .flow file; `name` is what errors call it.
///
/// # Errors
/// [`Error::FlowSyntax`] with the line and column where something else was expected, and what.
pub fn parse(name: &str, text: &str) -> Result<ReferenceFlow, Error> {
    let mut reader = Reader::new(text);
    reader.flow().map_err(|problem| problem.into_error(name, text))
}

/// What a .flow file says before its roles.
pub(super) struct Heading<'a> {
    name: &'a str,
    title: &'a str,
    section: &'a str,
    pub(super) kind: FlowKind,
    pub(super) when: Vec<(Fact, bool)>,
}

/// Parses the text of a .flow file up to its roles.
///
/// # Errors
/// As [`parse`].
pub(super) fn heading<'a>(name: &str, text: &'a str) -> Result<Heading<'a>, Error> {
    Reader::new(text).heading().map_err(|problem| problem.into_error(name, text))
}

/// Where the text is wrong, as a rest of it.
struct Problem<'a> {
    at: &'a str,
    why: String,
}

impl Problem<'_> {
    fn into_error(self, name: &str, text: &str) -> Error {
        let offset = text.len() - self.at.len();
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Error::FlowSyntax { name: name.to_owned(), line, column, why: self.why }
    }
}

type Parsed<'a, T> = Result<T, Problem<'a>>;

/// The lines of a file, without comments and blank ones; a block's braces are tokens of their own.
struct Reader<'a> {
    rest: &'a str,
    roles: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, roles: Vec::new() }
    }

    /// Passes over blank space and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn fail<T>(&self, expected: &str) -> Parsed<'a, T> {
        self.fail_among(expected, [])
    }

    /// Where one of the words `known` should stand, among other things.
    fn fail_among<'k, T>(&self, expected: &str, known: impl IntoIterator<Item = &'k str>) -> Parsed<'a, T> {
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        Err(unlike(self.rest, expected, &self.rest[..end], known))
    }

    /// The word `word`, if it comes next.
    fn take(&mut self, word: &str) -> bool {
        self.skip();
        match keyword(word, self.rest) {
            Ok((rest, _)) => {
                self.rest = rest;
                true
            }
            Err(_) => false,
        }
    }

    fn open(&mut self) -> Parsed<'a, ()> {
        if self.take("{") { Ok(()) } else { self.fail("'{'") }
    }

    /// Passes over blank space within the line; gives what follows.
    fn blank(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self.rest
    }

    /// Runs a parser on the rest of this line.
    fn run<T>(&mut self, expected: &str, mut parser: impl FnMut(&'a str) -> IResult<&'a str, T>) -> Parsed<'a, T> {
        match parser(self.blank()) {
            Ok((rest, parsed)) => {
                self.rest = rest;
                Ok(parsed)
            }
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => {
                self.rest = error.input;
                self.fail(expected)
            }
            Err(nom::Err::Incomplete(_)) => self.fail(expected),
        }
    }

    /// The rest of this line, up to a comment.
    fn text_line(&mut self) -> &'a str {
        let rest = self.blank();
        let end = rest.bytes().position(|byte| matches!(byte, b'\n' | b'#')).unwrap_or(rest.len());
        let (line, rest) = rest.split_at(end);
        self.rest = rest;
        line.trim()
    }

    fn end_of_line(&mut self) -> Parsed<'a, ()> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r']);
        if rest.is_empty() || rest.starts_with(['\n', '#', '}']) {
            self.rest = rest;
            return Ok(());
        }
        self.rest = rest;
        self.fail("the end of the line")
    }

    fn flow(&mut self) -> Parsed<'a, ReferenceFlow> {
        let Heading { name, title, section, kind, when } = self.heading()?;
        self.roles()?;
        if !self.take("ladder") {
            return self.fail_among("'ladder {'", ["ladder"]);
        }
        let ladder = self.block(0)?;
        self.skip();
        if !self.rest.is_empty() {
            return self.fail("the end of the file");
        }
        Ok(ReferenceFlow {
            name: name.to_owned(),
            title: title.to_owned(),
            section: section.to_owned(),
            kind,
            when,
            roles: self.roles.iter().map(|role| (*role).to_owned()).collect(),
            ladder,
        })
    }

    fn heading(&mut self) -> Parsed<'a, Heading<'a>> {
        if !self.take("flow") {
            return self.fail_among("'flow NAME: TITLE'", ["flow"]);
        }
        let name = self.run("a name such as bcp75/3.1", |i| terminated(flow_name, char(':')).parse(i))?;
        let title = self.text_line();
        let section = if self.take("section") { self.text_line() } else { "" };
        let kind = self.kind()?;
        let mut when = Vec::new();
        while self.take("when") {
            self.facts(&mut when)?;
            self.end_of_line()?;
        }
        Ok(Heading { name, title, section, kind, when })
    }

    fn kind(&mut self) -> Parsed<'a, FlowKind> {
        if !self.take("kind") {
            return self.fail_among("'kind call', 'kind registration' or another one", ["kind", "section"]);
        }
        let start = self.blank();
        let name = self.run("a kind such as 'call'", word)?;
        let kind = FlowKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind =
            kind.ok_or_else(|| unlike(start, "a kind such as 'call'", name, FlowKind::ALL.map(FlowKind::name)))?;
        self.end_of_line()?;
        Ok(kind)
    }

    fn facts(&mut self, when: &mut Vec<(Fact, bool)>) -> Parsed<'a, ()> {
        loop {
            let negated = self.run("a fact", |i| opt(terminated(|i| keyword("not", i), space1)).parse(i))?;
            let is_name = |c: char| c.is_alphanumeric() || c == ' ' || c == '-';
            let start = self.blank();
            let name = self.run("a fact such as 'answered'", |i| take_while1(is_name).parse(i))?;
            match Fact::from_name(name.trim()) {
                Some(fact) => when.push((fact, negated.is_none())),
                None => return Err(unlike(start, "a fact", name.trim_end(), Fact::NAMES.map(|(_, name)| name))),
            }
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => return Ok(()),
            }
        }
    }

    fn roles(&mut self) -> Parsed<'a, ()> {
        if !self.take("roles") {
            return self.fail_among("'roles NAME, NAME, ...' or 'when'", ["roles", "when"]);
        }
        self.roles =
            self.run("names of roles, caller first", |i| separated_list1((space0, char(','), space0), word).parse(i))?;
        self.end_of_line()
    }

    fn block(&mut self, depth: usize) -> Parsed<'a, Vec<Part>> {
        self.open()?;
        if depth > DEPTH {
            return self.fail("fewer blocks within blocks");
        }
        let mut parts = Vec::new();
        while !self.take("}") {
            parts.push(self.part(depth + 1)?);
        }
        Ok(parts)
    }

    fn blocks(&mut self, separator: &str, depth: usize) -> Parsed<'a, Vec<Vec<Part>>> {
        let mut blocks = vec![self.block(depth)?];
        while self.take(separator) {
            blocks.push(self.block(depth)?);
        }
        Ok(blocks)
    }

    fn part(&mut self, depth: usize) -> Parsed<'a, Part> {
        self.skip();
        let start = self.rest;
        if self.rest.is_empty() {
            return self.fail("a step or '}'");
        }
        if self.take("optional") {
            return Ok(Part::Optional(self.block(depth)?));
        }
        if self.take("repeat") {
            return Ok(Part::Repeat(self.block(depth)?));
        }
        if self.take("either") {
            if self.take("side") {
                return Ok(Part::EitherSide(self.block(depth)?));
            }
            return Ok(Part::Either(self.blocks("or", depth)?));
        }
        if self.take("any") {
            if !self.take("order") {
                return self.fail("'order'");
            }
            let blocks = self.blocks("and", depth)?;
            return any_order(blocks).ok_or_else(|| Problem {
                at: start,
                why: format!("expected at most {RUNS} runs of plain steps, {RUN_STEPS} in all, joined by 'and'"),
            });
        }
        if self.take("media") {
            let from = self.role(&[])?;
            self.run("'<->'", |i| tag("<->").parse(i))?;
            let to = self.role(&[])?;
            self.end_of_line()?;
            return Ok(Part::Media(from, to));
        }
        self.step().map(Part::Step)
    }

    /// A role, where one of the words `others` might stand as well.
    fn role(&mut self, others: &[&'static str]) -> Parsed<'a, usize> {
        let start = self.blank();
        let name = self.run("a role", word)?;
        let known = self.roles.iter().position(|role| *role == name);
        known.ok_or_else(|| {
            let words = self.roles.iter().copied().chain(others.iter().copied());
            let meant = nearest(name, words).map_or_else(String::new, |word| format!(": did you mean '{word}'?"));
            Problem { at: start, why: format!("expected a role, found '{name}', which is none of them{meant}") }
        })
    }

    fn step(&mut self) -> Parsed<'a, Step> {
        let label = self.run("a step", |i| opt(terminated(label, space1)).parse(i))?;
        let from = self.role(if label.is_none() { &BLOCKS } else { &[] })?;
        self.run("'->'", |i| tag("->").parse(i))?;
        let to = self.role(&[])?;
        self.run("':'", |i| char(':').parse(i))?;
        let message = self.message()?;
        self.end_of_line()?;
        Ok(Step { label: label.unwrap_or_default().to_owned(), from, to, message })
    }

    fn message(&mut self) -> Parsed<'a, Pattern> {
        self.blank();
        let mut status = Vec::new();
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            status = self.run("a status such as 200", statuses)?;
            self.run("'to' and a request", |i| preceded(space0, |i| keyword("to", i)).parse(i))?;
        }
        let expected = if status.is_empty() {
            "a request such as INVITE, or a status such as 200"
        } else {
            "a request such as INVITE"
        };
        let verb = self.run(expected, |i| preceded(space0, verb).parse(i));
        let Ok(verb) = verb else {
            self.blank();
            return self.fail_among(expected, Verb::NAMES.map(|(_, name)| name));
        };
        let mut pattern = Pattern { status, ..Pattern::request(verb) };
        loop {
            let next = self.rest.trim_start_matches([' ', '\t', ',']);
            if next.is_empty() || next.starts_with(['\n', '\r', '#', '}']) {
                return Ok(pattern);
            }
            self.rest = next;
            if let Err(problem) = self.run("a guard", |i| guard(i, &mut pattern)) {
                let end = next.find(['\n', ',', '#', '}']).unwrap_or(next.len());
                let rest = next[..end].trim_end();
                let known = CONTACTS.iter().map(|(_, name)| *name).chain(["with credentials", "without credentials"]);
                let acks = Verb::NAMES.iter().filter_map(|(_, name)| name.strip_prefix("ACK "));
                return Err(unlike(
                    problem.at,
                    "a guard such as 'with credentials', or the end of the line",
                    rest,
                    known.chain(acks),
                ));
            }
        }
    }
}

/// What a block may begin with.
const BLOCKS: [&str; 5] = ["optional", "repeat", "either", "any order", "media"];

/// At `at` stands `found` instead of what was expected, which may have been one of the words `known`.
fn unlike<'a, 'k>(at: &'a str, expected: &str, found: &str, known: impl IntoIterator<Item = &'k str>) -> Problem<'a> {
    let meant = nearest(found, known).map_or_else(String::new, |word| format!(": did you mean '{word}'?"));
    let shown: String = found.chars().take(24).collect();
    let shown = if shown.is_empty() { "nothing".to_owned() } else { format!("'{shown}'") };
    Problem { at, why: format!("expected {expected}, found {shown}{meant}") }
}

fn any_order(blocks: Vec<Vec<Part>>) -> Option<Part> {
    let steps: usize = blocks.iter().map(Vec::len).sum();
    if blocks.len() > RUNS || steps > RUN_STEPS {
        return None;
    }
    let plain = |part| match part {
        Part::Step(step) => Some(step),
        _ => None,
    };
    let runs: Option<Vec<Vec<Step>>> = blocks.into_iter().map(|run| run.into_iter().map(plain).collect()).collect();
    runs.map(Part::AnyOrder)
}

/// `word`, and not only the beginning of a longer one.
fn keyword<'a>(word: &str, input: &'a str) -> IResult<&'a str, &'a str> {
    let (rest, found) = tag(word).parse(input)?;
    if word.ends_with(is_word) && rest.starts_with(is_word) {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Tag)));
    }
    Ok((rest, found))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn word(input: &str) -> IResult<&str, &str> {
    // "alice->bob" is a role and an arrow.
    recognize(separated_list1(char('-'), take_while1(|c: char| is_word(c) && c != '-'))).parse(input)
}

fn flow_name(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| is_word(c) || c == '/' || c == '.').parse(input)
}

/// A label is a letter and digits: "F4".
fn label(input: &str) -> IResult<&str, &str> {
    recognize((verify(nom::character::complete::anychar, char::is_ascii_uppercase), digit1)).parse(input)
}

fn verb(input: &str) -> IResult<&str, Verb> {
    let found = Verb::NAMES.into_iter().filter_map(|(verb, name)| Some((keyword(name, input).ok()?.0, verb)));
    // The longest name: "ACK to failure" begins like "ACK".
    let longest = found.min_by_key(|(rest, _)| rest.len());
    longest.ok_or(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::OneOf)))
}

/// `200`, `2xx`, `180-189`, and several of them with `|` between.
fn statuses(input: &str) -> IResult<&str, Vec<(u16, u16)>> {
    separated_list1((space0, char('|'), space0), status).parse(input)
}

fn status(input: &str) -> IResult<&str, (u16, u16)> {
    let class =
        map(terminated(verify(nom::character::complete::anychar, |c| ('1'..='6').contains(c)), tag("xx")), |c| {
            let hundreds = c.to_digit(10).map_or(0, |digit| digit as u16) * 100;
            // 100 only says that the next hop is there; the other 1xx come from the far end.
            if hundreds == 100 { (101, 199) } else { (hundreds, hundreds + 99) }
        });
    let code = |i| verify(nom::character::complete::u16, |code| (100..700).contains(code)).parse(i);
    let range = map((code, opt(preceded(char('-'), code))), |(low, high)| (low, high.unwrap_or(low)));
    verify(alt((class, range)), |(low, high)| low <= high).parse(input)
}

fn guard<'a>(input: &'a str, pattern: &mut Pattern) -> IResult<&'a str, ()> {
    if let Ok((rest, _)) = keyword("without credentials", input) {
        pattern.credentials = Some(false);
        return Ok((rest, ()));
    }
    if let Ok((rest, _)) = keyword("with credentials", input) {
        pattern.credentials = Some(true);
        let answers = preceded((space1, |i| keyword("for", i), space1), label);
        let (rest, answers) = opt(answers).parse(rest)?;
        answers.unwrap_or_default().clone_into(&mut pattern.answers);
        return Ok((rest, ()));
    }
    for (contact, name) in CONTACTS {
        if let Ok((rest, _)) = keyword(name, input) {
            pattern.contact = Some(contact);
            return Ok((rest, ()));
        }
    }
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::OneOf)))
}

pub(super) const CONTACTS: [(Contact, &str); 3] =
    [(Contact::None, "without contact"), (Contact::Some, "with contact"), (Contact::Removal, "removing contacts")];
