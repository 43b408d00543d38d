//! `job init`: an example to begin with.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::session::{DONE, Exit, Session};

/// What `job init` writes, with an explanation of everything in it.
pub const EXAMPLE: &str = include_str!("example.nomad.hcl");
/// The same, bare.
pub const SHORT_EXAMPLE: &str = include_str!("example-short.nomad.hcl");

/// Flags of `job init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where to write it
    #[arg(default_value = "example.nomad.hcl")]
    path: PathBuf,
    /// Write it without explanations
    #[arg(long)]
    short: bool,
}

/// Writes an example of a job file; never over a file that is there.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn run(session: &mut Session<'_>, args: &Init) -> Result<Exit> {
    let name = args.path.display();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("Job file '{name}' already exists")
        }
        other => other.with_context(|| format!("Failed to write '{name}'"))?,
    };
    let text = if args.short { SHORT_EXAMPLE } else { EXAMPLE };
    file.write_all(text.as_bytes())
        .with_context(|| format!("Failed to write '{name}'"))?;
    session
        .console
        .line(format_args!("Example job file written to {name}"));
    Ok(DONE)
}
