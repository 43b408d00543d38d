//! Files, where the caller lets them be read: on the command line, never on the coordinator.

use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Environment, Failure, Function, Kind, fixed, text};
use crate::value::Value;

const PATH: (&str, Kind) = ("path", Kind::Text);

pub(super) const TABLE: &[Function] = &[
    fixed("abspath", &[PATH], |env, args| {
        let path = std::path::absolute(resolve(env, text(&args[0]))?).map_err(|error| error.to_string())?;
        Ok(Value::text(clean(&path)))
    }),
    fixed("basename", &[PATH], |env, args| {
        base(env)?;
        let path = text(&args[0]).trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok(Value::text(match (name, args[0] == Value::text("")) {
            ("", true) => ".",
            ("", false) => "/",
            (name, _) => name,
        }))
    }),
    fixed("dirname", &[PATH], |env, args| {
        base(env)?;
        let parent = match text(&args[0]).rsplit_once('/') {
            None => ".".to_owned(),
            Some(("", _)) => "/".to_owned(),
            Some((parent, _)) => clean(Path::new(parent)),
        };
        Ok(Value::text(parent))
    }),
    fixed("file", &[PATH], |env, args| {
        let bytes = read(env, text(&args[0]))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            format!(
                "contents of {} are not valid UTF-8; use the filebase64 function",
                text(&args[0])
            )
        })?;
        Ok(Value::String(text))
    }),
    fixed("filebase64", &[PATH], |env, args| {
        Ok(Value::text(STANDARD.encode(read(env, text(&args[0]))?)))
    }),
    fixed("fileexists", &[PATH], |env, args| {
        Ok(Value::Bool(resolve(env, text(&args[0]))?.is_file()))
    }),
    fixed("fileset", &[PATH, ("pattern", Kind::Text)], |env, args| {
        let root = resolve(env, text(&args[0]))?;
        let mut found = Vec::new();
        list(&root, "", &mut found).map_err(|error| format!("cannot list {}: {error}", root.display()))?;
        let pattern: Vec<&str> = text(&args[1]).split('/').collect();
        let matching = found
            .into_iter()
            .filter(|path| glob(&pattern, &path.split('/').collect::<Vec<_>>()));
        Ok(Value::set(matching.map(Value::String)))
    }),
    fixed("pathexpand", &[PATH], |env, args| {
        base(env)?;
        let path = text(&args[0]);
        let home = || std::env::var("HOME").map_err(|_| Failure::from("HOME is not set"));
        Ok(Value::text(match path.strip_prefix('~') {
            Some("") => home()?,
            Some(rest) if rest.starts_with('/') => format!("{}{rest}", home()?),
            _ => path.to_owned(),
        }))
    }),
];

fn base(env: &Environment) -> Result<&Path, Failure> {
    env.base
        .as_deref()
        .ok_or_else(|| "filesystem function disabled".into())
}

fn resolve(env: &Environment, path: &str) -> Result<PathBuf, Failure> {
    Ok(base(env)?.join(path))
}

fn read(env: &Environment, path: &str) -> Result<Vec<u8>, Failure> {
    let full = resolve(env, path)?;
    std::fs::read(&full).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("no file exists at {}", full.display()).into(),
        _ => format!("failed to read {}: {error}", full.display()).into(),
    })
}

/// The path without `.` and `..`.
fn clean(path: &Path) -> String {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if clean.parent().is_some() => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    if clean.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        clean.to_string_lossy().into_owned()
    }
}

/// Every file below a folder, by its path from there.
fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

/// Whether path segments match a pattern with `*`, `?` and `**`.
fn glob(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            glob(rest, path) || path.split_first().is_some_and(|(_, below)| glob(pattern, below))
        }
        (Some((segment, pattern)), Some((name, path))) => {
            let wanted: Vec<char> = segment.chars().collect();
            segment_matches(&wanted, &name.chars().collect::<Vec<_>>()) && glob(pattern, path)
        }
        _ => false,
    }
}

fn segment_matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            segment_matches(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, rest)| segment_matches(pattern, rest))
        }
        (Some(('?', pattern)), Some((_, name))) => segment_matches(pattern, name),
        (Some((wanted, pattern)), Some((found, name))) => wanted == found && segment_matches(pattern, name),
        _ => false,
    }
}
