//! `fmt`: job files in the canonical format and, when asked for, in today's language.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Args};

use crate::session::{DONE, Exit, FAILED, Session};

/// Names of files that are formatted when their folder is.
const EXTENSIONS: [&str; 2] = ["nomad", "hcl"];

/// Flags of `fmt`.
#[derive(Debug, Args)]
pub struct Fmt {
    /// Job files, or folders of them; - for standard input
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Change nothing; exit with 1 when something would be changed
    #[arg(long)]
    check: bool,
    /// Print the names of the files that are changed
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true")]
    list: bool,
    /// Write the files; without it and without -list, the text is printed
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true")]
    write: bool,
    /// Look into folders inside folders
    #[arg(long)]
    recursive: bool,
    /// Rewrite what only older versions of the language allowed
    #[arg(long)]
    upgrade: bool,
}

/// Formats job files. One that is wrong is left alone and reported, and the others are formatted all the same.
///
/// # Errors
/// When a path leads nowhere, or a file cannot be read or written.
pub fn run(session: &mut Session<'_>, args: &Fmt) -> Result<Exit> {
    let mut exit = DONE;
    for path in &args.paths {
        if path.as_os_str() == "-" {
            exit = exit.max(from_stdin(session, args)?);
            continue;
        }
        let files = if path.is_dir() {
            files_in(path, args.recursive)?
        } else {
            vec![path.clone()]
        };
        for file in files {
            exit = exit.max(format_file(session, args, &file)?);
        }
    }
    Ok(exit)
}

fn from_stdin(session: &mut Session<'_>, args: &Fmt) -> Result<Exit> {
    let mut source = String::new();
    std::io::stdin()
        .read_to_string(&mut source)
        .context("Error reading standard input")?;
    let Some(formatted) = formatted(session, args, "<stdin>", &source) else {
        return Ok(FAILED);
    };
    if args.check {
        return Ok(if formatted == source { DONE } else { FAILED });
    }
    session.console.text(formatted);
    Ok(DONE)
}

fn format_file(session: &mut Session<'_>, args: &Fmt, path: &Path) -> Result<Exit> {
    let name = path.display().to_string();
    let source = fs::read_to_string(path).with_context(|| format!("Error reading {name}"))?;
    let Some(formatted) = formatted(session, args, &name, &source) else {
        return Ok(FAILED);
    };
    if formatted == source {
        if !args.list && !args.write {
            session.console.text(formatted);
        }
        return Ok(DONE);
    }
    if args.list {
        session.console.line(&name);
    }
    if args.check {
        return Ok(FAILED);
    }
    if args.write {
        replace(path, &formatted).with_context(|| format!("Error writing {name}"))?;
    } else if !args.list {
        session.console.text(formatted);
    }
    Ok(DONE)
}

/// The text as it should be; nothing when it is no HCL, which is reported.
fn formatted(session: &mut Session<'_>, args: &Fmt, name: &str, source: &str) -> Option<String> {
    let text = if args.upgrade {
        holdfast_jobspec::upgrade(name, source).map(|upgraded| {
            for (line, change) in &upgraded.changes {
                session.console.error(format_args!("{name}:{line}: {change}"));
            }
            upgraded.text
        })
    } else {
        holdfast_jobspec::check_syntax(name, source).map(|()| source.to_owned())
    };
    match text {
        Ok(text) => Some(holdfast_hclfmt::format(&text)),
        Err(diagnostic) => {
            session.console.error(diagnostic.render());
            None
        }
    }
}

/// The job files of a folder, in the order of their names.
fn files_in(folder: &Path, is_recursive: bool) -> Result<Vec<PathBuf>> {
    let complaint = || format!("Error reading {}", folder.display());
    let mut entries = fs::read_dir(folder)
        .with_context(complaint)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(complaint)?;
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        let is_link = path.is_symlink();
        if path.is_dir() && is_recursive && !is_link {
            files.extend(files_in(&path, is_recursive)?);
        } else if path.is_file()
            && path
                .extension()
                .is_some_and(|it| EXTENSIONS.iter().any(|known| it == *known))
        {
            files.push(path);
        }
    }
    Ok(files)
}

/// Puts a new text in the place of a file, at once: a crash leaves the old one or the new one.
fn replace(path: &Path, text: &str) -> Result<()> {
    let path = path.canonicalize()?;
    let Some((folder, name)) = path.parent().zip(path.file_name()) else {
        bail!("it has no name");
    };
    let fresh = folder.join(format!(".{}.fmt", name.to_string_lossy()));
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, fs::metadata(&path)?.permissions())?;
    fs::rename(&fresh, &path)?;
    Ok(())
}
