//! One table of settings behind flags, environment and configuration file.
//!
//! Owns: the table ([`Setting`]), the four layers (default < file < environment < flag), the checks of each
//! value and the errors that name where a bad one came from. Deliberately does not know what any setting
//! means: the daemons declare their tables and read the typed [`Values`].
//!
//! ```
//! use holdfast_settings::{Kind, Setting, Settings};
//!
//! const TABLE: &[Setting] = &[
//!     Setting::new("data_dir", Kind::String, "where everything durable lives").default("/var/lib/holdfast"),
//!     Setting::new("client.meta", Kind::Map, "metadata of this node").flag("meta").value("KEY=VALUE"),
//! ];
//! let settings = Settings { program: "example", version: "0.1.0", about: "An example.", table: TABLE };
//! let values = settings.load(["-data-dir=/tmp/x", "--meta", "rack=r1"], []).unwrap();
//! assert_eq!(values.string("data_dir"), "/tmp/x");
//! assert_eq!(values.map("client.meta")["rack"], "r1");
//! ```

mod duration;
mod error;
mod file;
mod flags;
mod suggest;
mod table;
mod value;

pub use duration::{DurationError, format_duration, parse_duration};
pub use error::{Problem, SettingsError};
pub use table::{Kind, Setting, Settings};
pub use value::{Origin, Value, Values};
