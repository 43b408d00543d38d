//! The table: what a setting is called in each place, what kind of value it takes, what it defaults to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Problem, SettingsError};
use crate::value::{Origin, Value, Values};
use crate::{file, flags};

/// What values a setting takes, and how text becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    String,
    /// `true` or `false`; as a flag alone it means `true`.
    Bool,
    /// A whole number.
    Integer,
    /// A length of time as Go writes it, such as `1h30m`.
    Duration,
    /// Texts: a repeated flag, a comma-separated variable, a list in the file.
    List,
    /// Texts by key: a repeated `key=value` flag, a comma-separated variable, a block or object in the file.
    Map,
}

/// One row of the table. Built in constants: `Setting::new(…).default(…).flag(…)`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name in the file, dotted for each enclosing block: `client.node_class`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// One sentence for `--help`, without trailing dot.
    pub help: &'static str,
    /// Value when nothing else sets it, as the environment would write it.
    pub default: Option<&'static str>,
    /// Flag without dashes, when it is not the name with dashes.
    pub flag: Option<&'static str>,
    /// Further environment variables beside `HOLDFAST_<NAME>`, which wins over them.
    pub env_aliases: &'static [&'static str],
    /// What the value is called in `--help`, such as `PATH`.
    pub value_name: Option<&'static str>,
}

impl Setting {
    /// A setting without default, under its derived flag and variable.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            kind,
            help,
            default: None,
            flag: None,
            env_aliases: &[],
            value_name: None,
        }
    }

    /// Sets the default, written as in the environment.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// Names the flag (without dashes).
    #[must_use]
    pub const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Adds environment variables that are read when `HOLDFAST_<NAME>` is not set; the first that is set wins.
    #[must_use]
    pub const fn env(mut self, aliases: &'static [&'static str]) -> Self {
        self.env_aliases = aliases;
        self
    }

    /// Names the value in `--help`.
    #[must_use]
    pub const fn value(mut self, name: &'static str) -> Self {
        self.value_name = Some(name);
        self
    }

    /// The flag's name without dashes: `client.node_class` is `client-node-class` unless named otherwise.
    pub fn flag_name(&self) -> String {
        self.flag
            .map_or_else(|| self.name.replace(['.', '_'], "-"), str::to_owned)
    }

    /// The main environment variable: `client.node_class` is `HOLDFAST_CLIENT_NODE_CLASS`.
    pub fn env_name(&self) -> String {
        format!("HOLDFAST_{}", self.name.to_uppercase().replace(['.', '-'], "_"))
    }
}

/// The flag and variable that name configuration files; present in every program.
pub(crate) const CONFIG: Setting = Setting::new(
    "config",
    Kind::List,
    "configuration file, or folder of *.hcl files; may be repeated",
)
.value("PATH");

/// A program's settings: its table and what `--help` and `--version` say.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Name of the binary.
    pub program: &'static str,
    /// Version for `--version`.
    pub version: &'static str,
    /// First paragraph of `--help`.
    pub about: &'static str,
    /// The rows, in the order `--help` shows them.
    pub table: &'static [Setting],
}

impl Settings {
    /// Reads every layer: `args` without the program's name, `env` as `(name, value)` pairs, and the files
    /// that `--config` or `HOLDFAST_CONFIG` name.
    ///
    /// Maps are merged key by key across the layers; everything else is replaced by the stronger layer.
    ///
    /// # Errors
    /// [`SettingsError::Answer`] for `--help` and `--version`; otherwise every problem of the first bad layer.
    pub fn load<A, E>(&self, args: A, env: E) -> Result<Values, SettingsError>
    where
        A: IntoIterator,
        A::Item: Into<OsString>,
        E: IntoIterator<Item = (String, String)>,
    {
        let flags = flags::parse(self, args.into_iter().map(Into::into).collect())?;
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let mut values = Values::default();
        for setting in self.table {
            let default = match setting.default {
                Some(text) => Value::parse(setting.kind, text)
                    .unwrap_or_else(|e| panic!("default of {:?} in the table: {e}", setting.name)),
                None => Value::unset(setting.kind),
            };
            values.set(setting, default, Origin::Default);
        }
        self.load_files(&config_paths(&flags, &env), &mut values)?;
        self.load_env(&env, &mut values)?;
        for (setting, value, flag) in flags.values {
            values.set(setting, value, Origin::Flag(flag));
        }
        Ok(values)
    }

    /// A Markdown table of all settings, for the reference documentation.
    pub fn reference(&self) -> String {
        let mut out =
            String::from("| file | flag | environment | default | meaning |\n|---|---|---|---|---|\n");
        for s in std::iter::once(&CONFIG).chain(self.table) {
            let (flag, env, default) = (s.flag_name(), s.env_name(), s.default.unwrap_or_default());
            out.push_str(&format!(
                "| `{}` | `--{flag}` | `{env}` | {default} | {} |\n",
                s.name, s.help
            ));
        }
        out
    }

    fn load_files(&self, paths: &[PathBuf], values: &mut Values) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        for path in paths {
            for path in file::expand(path)? {
                file::load(self.table, &path, values, &mut problems)?;
            }
        }
        SettingsError::unless_empty(problems)
    }

    fn load_env(&self, env: &BTreeMap<String, String>, values: &mut Values) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        for setting in self.table {
            let names = std::iter::once(setting.env_name());
            let mut names = names.chain(setting.env_aliases.iter().map(|alias| (*alias).to_owned()));
            let Some(name) = names.find(|name| env.contains_key(name)) else {
                continue;
            };
            match Value::parse(setting.kind, &env[&name]) {
                Ok(value) => values.set(setting, value, Origin::Environment(name)),
                Err(reason) => problems.push(Problem::environment(&name, reason)),
            }
        }
        SettingsError::unless_empty(problems)
    }
}

fn config_paths(flags: &flags::Flags, env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    if !flags.config.is_empty() {
        return flags.config.iter().map(PathBuf::from).collect();
    }
    let paths = env
        .get(&CONFIG.env_name())
        .map(String::as_str)
        .unwrap_or_default();
    paths
        .split(',')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect()
}
