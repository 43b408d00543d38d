//! The flag layer: a `clap` command made from the table, and Nomad's single-dash long flags.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::{Problem, SettingsError};
use crate::suggest;
use crate::table::{CONFIG, Kind, Setting, Settings};
use crate::value::{Value, parse_pair};

/// What the command line set.
pub(crate) struct Flags {
    /// Setting, value, flag as it is called.
    pub(crate) values: Vec<(&'static Setting, Value, String)>,
    /// The configuration files to read.
    pub(crate) config: Vec<String>,
}

impl Settings {
    /// The `clap` command of this table, for `--help`, shell completion and documentation.
    pub fn command(&self) -> Command {
        let rows = std::iter::once(&CONFIG).chain(self.table);
        Command::new(self.program)
            .version(self.version)
            .about(self.about)
            .after_help(
                "Every setting is also an environment variable (HOLDFAST_DATA_DIR for --data-dir) and a key of \
                 the configuration file; a flag wins over the environment, and that over the file.",
            )
            .args(rows.map(arg))
    }
}

fn arg(setting: &Setting) -> Arg {
    let flag = setting.flag_name();
    let mut help = setting.help.to_owned();
    if let Some(default) = setting.default.filter(|text| !text.is_empty()) {
        help.push_str(&format!(" [default: {default}]"));
    }
    let arg = Arg::new(setting.name).long(flag).help(help);
    let shown = setting.value_name.unwrap_or(match setting.kind {
        Kind::String | Kind::List => "TEXT",
        Kind::Bool => "BOOL",
        Kind::Integer => "NUMBER",
        Kind::Duration => "DURATION",
        Kind::Map => "KEY=VALUE",
    });
    let arg = arg.value_name(shown);
    match setting.kind {
        Kind::Bool => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::List | Kind::Map => arg.action(ArgAction::Append),
        // The last one wins, so that a wrapper script can be overridden.
        _ => arg.action(ArgAction::Set).overrides_with(setting.name),
    }
    .allow_hyphen_values(!matches!(setting.kind, Kind::Bool))
}

/// Parses the command line.
pub(crate) fn parse(settings: &Settings, args: Vec<OsString>) -> Result<Flags, SettingsError> {
    let args = args.into_iter().map(double_dash);
    let matches = settings
        .command()
        .no_binary_name(true)
        .try_get_matches_from(args)
        .map_err(|error| translate(settings, &error))?;
    let mut values = Vec::new();
    let mut problems = Vec::new();
    for setting in settings.table {
        match value(setting, &matches) {
            Ok(None) => {}
            Ok(Some(value)) => values.push((setting, value, setting.flag_name())),
            Err(reason) => problems.push(Problem::flag(&setting.flag_name(), reason)),
        }
    }
    SettingsError::unless_empty(problems)?;
    Ok(Flags {
        values,
        config: all(&CONFIG, &matches),
    })
}

/// Turns `-config=x` and `-data_dir` into `--config=x` and `--data-dir`; leaves everything else alone.
fn double_dash(arg: OsString) -> OsString {
    let Some(text) = arg.to_str() else { return arg };
    let name = text.trim_start_matches('-');
    let dashes = text.len() - name.len();
    let is_flag = matches!(dashes, 1 | 2) && name.len() > 1 && name.starts_with(|c: char| c.is_alphabetic());
    if !is_flag {
        return arg;
    }
    let (name, value) = name.split_at(name.find('=').unwrap_or(name.len()));
    format!("--{}{value}", name.replace('_', "-")).into()
}

fn all(setting: &Setting, matches: &ArgMatches) -> Vec<String> {
    matches
        .get_many::<String>(setting.name)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

fn value(setting: &Setting, matches: &ArgMatches) -> Result<Option<Value>, String> {
    let texts = all(setting, matches);
    let Some(last) = texts.last() else { return Ok(None) };
    match setting.kind {
        Kind::List => Ok(Some(Value::List(texts))),
        Kind::Map => texts
            .iter()
            .map(|text| parse_pair(text))
            .collect::<Result<_, _>>()
            .map(|map| Some(Value::Map(map))),
        kind => Value::parse(kind, last).map(Some),
    }
}

/// `clap`'s complaint in our words: `clap` is built without its suggestions, and its errors span lines.
fn translate(settings: &Settings, error: &clap::Error) -> SettingsError {
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.as_str(),
        _ => "",
    };
    // What is shown of a known flag is `--name <VALUE>`.
    let flag = invalid
        .split([' ', '='])
        .next()
        .unwrap_or_default()
        .trim_start_matches('-');
    let problem = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return SettingsError::Answer(error.render().to_string());
        }
        ErrorKind::UnknownArgument if !invalid.starts_with('-') => Problem {
            place: "command line".to_owned(),
            reason: format!("unexpected argument {invalid:?}"),
            hint: None,
        },
        ErrorKind::UnknownArgument => {
            let known = std::iter::once(&CONFIG)
                .chain(settings.table)
                .map(Setting::flag_name);
            let hint = suggest::nearest(flag, known).map(|near| format!("--{near}"));
            Problem::flag(flag, "there is no such flag").hint(hint)
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::NoEquals => {
            Problem::flag(flag, "needs a value")
        }
        kind => Problem::flag(flag, kind.as_str().unwrap_or("cannot be read")),
    };
    SettingsError::Invalid(vec![problem])
}
