//! Typed values, how text becomes one, and the values a program ends up with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::duration::parse_duration;
use crate::table::{Kind, Setting};

/// A value of one setting. `None` inside means that nothing set it and the table has no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// See [`Kind::String`].
    String(Option<String>),
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::Integer`].
    Integer(Option<i64>),
    /// See [`Kind::Duration`].
    Duration(Option<Duration>),
    /// See [`Kind::List`].
    List(Vec<String>),
    /// See [`Kind::Map`].
    Map(BTreeMap<String, String>),
}

impl Value {
    /// What a setting of this kind is before anything sets it.
    pub(crate) fn unset(kind: Kind) -> Self {
        match kind {
            Kind::String => Self::String(None),
            Kind::Bool => Self::Bool(false),
            Kind::Integer => Self::Integer(None),
            Kind::Duration => Self::Duration(None),
            Kind::List => Self::List(Vec::new()),
            Kind::Map => Self::Map(BTreeMap::new()),
        }
    }

    /// Reads a value as the environment writes it: lists and maps separated by commas.
    ///
    /// # Errors
    /// One sentence that says what was expected.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        match kind {
            Kind::String => Ok(Self::String(Some(text.to_owned()))),
            Kind::Bool => match text {
                "true" | "1" => Ok(Self::Bool(true)),
                "false" | "0" => Ok(Self::Bool(false)),
                _ => Err(format!("{text:?} is neither \"true\" nor \"false\"")),
            },
            Kind::Integer => {
                let number = text
                    .parse()
                    .map_err(|_| format!("{text:?} is not a whole number"))?;
                Ok(Self::Integer(Some(number)))
            }
            Kind::Duration => match parse_duration(text) {
                Ok(duration) => Ok(Self::Duration(Some(duration))),
                Err(error) => Err(error.to_string()),
            },
            Kind::List => Ok(Self::List(split(text).map(str::to_owned).collect())),
            Kind::Map => split(text)
                .map(parse_pair)
                .collect::<Result<_, _>>()
                .map(Self::Map),
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Splits `key=value`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form key=value")),
    }
}

/// Which layer a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// A configuration file and the line in it.
    File(PathBuf, usize),
    /// An environment variable of this name.
    Environment(String),
    /// A flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// The value of every setting of a table, and where each came from.
///
/// The getters panic when the table has no such setting or it is of another kind: that is a mistake in the
/// program, not in its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    by_name: BTreeMap<&'static str, (Value, Origin)>,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident -> $type:ty, $variant:pat => $result:expr) => {
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> $type {
            match self.value(name) {
                $variant => $result,
                other => panic!("setting {name:?} is {other:?}, read as {}", stringify!($name)),
            }
        }
    };
}

impl Values {
    getter!(
        /// A text, if there is one.
        optional_string -> Option<&str>, Value::String(text) => text.as_deref()
    );
    getter!(
        /// A text that the table has a default for.
        string -> &str, Value::String(Some(text)) => text
    );
    getter!(
        /// A flag; unset is `false`.
        boolean -> bool, Value::Bool(flag) => *flag
    );
    getter!(
        /// A whole number, if there is one.
        optional_integer -> Option<i64>, Value::Integer(number) => *number
    );
    getter!(
        /// A whole number that the table has a default for.
        integer -> i64, Value::Integer(Some(number)) => *number
    );
    getter!(
        /// A length of time, if there is one.
        optional_duration -> Option<Duration>, Value::Duration(duration) => *duration
    );
    getter!(
        /// A length of time that the table has a default for.
        duration -> Duration, Value::Duration(Some(duration)) => *duration
    );
    getter!(
        /// Texts in order; unset is empty.
        list -> &[String], Value::List(items) => items
    );
    getter!(
        /// Texts by key; unset is empty.
        map -> &BTreeMap<String, String>, Value::Map(entries) => entries
    );

    /// Which layer the value came from; for a map the strongest that contributed.
    pub fn origin(&self, name: &str) -> &Origin {
        &self.entry(name).1
    }

    /// Every setting by name, for logs and the agent's self-description.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value, &Origin)> {
        self.by_name
            .iter()
            .map(|(name, (value, origin))| (*name, value, origin))
    }

    /// Takes a value from a stronger layer.
    pub(crate) fn set(&mut self, setting: &Setting, value: Value, origin: Origin) {
        match (self.by_name.get_mut(setting.name), value) {
            (Some((Value::Map(entries), from)), Value::Map(more)) => {
                entries.extend(more);
                *from = origin;
            }
            (_, value) => {
                self.by_name.insert(setting.name, (value, origin));
            }
        }
    }

    fn value(&self, name: &str) -> &Value {
        &self.entry(name).0
    }

    fn entry(&self, name: &str) -> &(Value, Origin) {
        self.by_name
            .get(name)
            .unwrap_or_else(|| panic!("no setting {name:?} in the table"))
    }
}
