//! Go templates of the template block, with the function library of job files.
//!
//! Owns: rendering (over `gotmpl`, which knows the language), the functions that templates call, and the
//! environment-file format of `env = true` templates. Deliberately does not know where services and
//! variables come from ([`Data`]), when to render again, or where the text is written. [`yaml`] and [`digests`] serve
//! the functions of the job language as well.

mod data;
pub mod digests;
mod env_file;
mod error;
mod functions;
mod json;
mod render;
mod source;
pub mod yaml;

pub use data::{Data, Lookup, ServiceInstance, ServiceSummary, Variable, Want};
pub use env_file::{EnvFileError, parse_env_file};
pub use error::TemplateError;
pub use render::{Options, Rendered, render};
