//! `[options]`: what the command line would say, said once. The values are those of the options, checked by the
//! same code.

use super::document::{Place, Table, Value, suggestion};
use crate::base::Error;
use clap::{Arg, Command};
use std::ffi::OsString;
use std::path::Path;

/// An option with other values than its default ones.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its long name.
    pub(super) key: &'static str,
    pub(super) values: Vec<OsString>,
    pub(super) place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Texts,
    Number,
    Switch,
    /// Relative to the folder of the file.
    Path,
    Paths,
}

/// The options that a project may set, and what their values are. Selections, outputs and what must hold of one run
/// only are not among them.
static KEYS: [(&str, Kind); 25] = [
    ("allow-empty", Kind::Switch),
    ("ascii", Kind::Switch),
    ("baseline", Kind::Path),
    ("color", Kind::Text),
    ("decode-as", Kind::Texts),
    ("fail-on", Kind::Text),
    ("flow-file", Kind::Paths),
    ("format", Kind::Text),
    ("immediate", Kind::Switch),
    ("interface", Kind::Texts),
    ("keylog", Kind::Path),
    ("leg-header", Kind::Texts),
    ("log-format", Kind::Text),
    ("max-memory", Kind::Text),
    ("metrics", Kind::Text),
    ("names", Kind::Path),
    ("no-promisc", Kind::Switch),
    ("passwords", Kind::Path),
    ("ring-size", Kind::Text),
    ("rsa-key", Kind::Paths),
    ("snaplen", Kind::Number),
    ("strict", Kind::Switch),
    ("strict-baseline", Kind::Switch),
    ("threads", Kind::Number),
    ("width", Kind::Number),
];

/// What only one command takes from here, and which one: the formats of other commands are others, and what is told of a
/// capture that is read in pieces is not all that `check` tells.
const OF_ONE: [(&str, &str); 2] = [("format", "check"), ("max-memory", "live")];

/// The options that there are, of those that may be set.
pub(super) fn keys(command: &Command) -> impl Iterator<Item = &'static str> + '_ {
    KEYS.iter().map(|(key, _)| *key).filter(|key| arg(command, key).is_some())
}

/// The option of the program, or of its first command that has it.
pub(super) fn arg<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    commands.flat_map(Command::get_arguments).find(|arg| arg.get_long() == Some(key))
}

/// Reads `[options]`. `folder` is that of the file.
pub(super) fn read(mut table: Table<'_>, folder: &Path, command: &Command) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    for (name, value) in table.rest() {
        let known = KEYS.iter().find(|(key, _)| *key == name).zip(arg(command, name));
        let Some(((key, kind), arg)) = known else {
            let why = format!("no option '{name}' can be set here{}", suggestion(name, keys(command)));
            return Err(value.place().refuse(why));
        };
        let values = values(&value, *kind, folder)?;
        if *kind != Kind::Switch {
            for one in &values {
                refusal(arg, one).map_or(Ok(()), |why| Err(value.refuse(why)))?;
            }
        }
        settings.push(Setting { key, values, place: value.place() });
    }
    Ok(settings)
}

fn values(value: &Value<'_>, kind: Kind, folder: &Path) -> Result<Vec<OsString>, Error> {
    let file = |text: &str| folder.join(text).into_os_string();
    Ok(match kind {
        Kind::Text => vec![value.text()?.into()],
        Kind::Texts => value.texts()?.into_iter().map(OsString::from).collect(),
        Kind::Number => vec![value.whole_number()?.to_string().into()],
        Kind::Switch => vec![value.yes_or_no()?.to_string().into()],
        Kind::Path => vec![file(value.text()?)],
        Kind::Paths => value.texts()?.into_iter().map(file).collect(),
    })
}

/// What the command line would say against the value.
fn refusal(arg: &Arg, value: &OsString) -> Option<String> {
    let mut typed = OsString::from(format!("--{}=", arg.get_long()?));
    typed.push(value);
    let alone = Command::new("callflow").no_binary_name(true).disable_help_flag(true).arg(arg.clone());
    let error = alone.try_get_matches_from([typed]).err()?.to_string();
    let lines = error.lines().take_while(|line| !line.starts_with("For more")).map(str::trim);
    let told = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    Some(told.trim_start_matches("error: ").to_owned())
}

/// The command line on which the settings are the defaults: what is typed goes before them.
pub(super) fn as_defaults(settings: &[Setting], command: Command) -> Command {
    let command = with(settings, command);
    command.mut_subcommands(|command| with(settings, command))
}

fn with(settings: &[Setting], mut command: Command) -> Command {
    let is_of_another = |key: &str, name: &str| OF_ONE.iter().any(|(one, command)| *one == key && *command != name);
    for setting in settings {
        if is_of_another(setting.key, command.get_name()) {
            continue;
        }
        let id =
            command.get_arguments().find(|arg| arg.get_long() == Some(setting.key)).map(|arg| arg.get_id().clone());
        if let Some(id) = id {
            command = command.mut_arg(id, |arg| arg.default_values(setting.values.clone()));
        }
    }
    command
}
