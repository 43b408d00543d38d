//! The file that a template with `env = true` renders: one `KEY=value` a line.

use std::collections::BTreeMap;

use thiserror::Error;

/// Why a rendered environment file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct EnvFileError {
    /// 1-based.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads an environment file: `KEY=value` lines with optional `export`, quotes, `\"`, `\\`, `\n` and `\t` inside
/// double quotes, comments after `#`, blank lines. A later line wins.
///
/// # Errors
/// The first line that is none of these.
pub fn parse_env_file(text: &str) -> Result<BTreeMap<String, String>, EnvFileError> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = parse_line(line).map_err(|reason| EnvFileError {
            line: index + 1,
            reason,
        })?;
        variables.insert(key.to_owned(), value);
    }
    Ok(variables)
}

fn parse_line(line: &str) -> Result<(&str, String), String> {
    let (key, value) = line.split_once('=').ok_or("missing \"=\"")?;
    let key = key.trim();
    let key = key.strip_prefix("export ").map_or(key, str::trim_start);
    match key.chars().next() {
        None => return Err("nothing before the \"=\"".to_owned()),
        Some(first) if !(first.is_ascii_alphabetic() || first == '_') => {
            return Err(format!("a name must start with a letter or \"_\", not {first:?}"));
        }
        Some(_) => {}
    }
    Ok((key, parse_value(value.trim())?))
}

/// Reads a value in which quoted and unquoted parts may follow each other.
fn parse_value(text: &str) -> Result<String, String> {
    let mut value = String::new();
    // Where the value ends when only blanks and a comment follow.
    let mut significant = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => {
                value.truncate(significant);
                return Ok(value);
            }
            '"' => quoted(&mut chars, '"', &mut value)?,
            '\'' => quoted(&mut chars, '\'', &mut value)?,
            c if c.is_control() && c != '\t' => return Err(format!("{c:?} is not allowed in a value")),
            c => {
                value.push(c);
                if matches!(c, ' ' | '\t') {
                    continue;
                }
            }
        }
        significant = value.len();
    }
    Ok(value)
}

fn quoted(chars: &mut std::str::Chars<'_>, quote: char, value: &mut String) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => value.push(match chars.next() {
                Some(c @ ('"' | '\\')) => c,
                Some('n') => '\n',
                Some('t') => '\t',
                Some(c) => return Err(format!("invalid escape sequence: \\{c}")),
                None => return Err("incomplete escape sequence".to_owned()),
            }),
            c => value.push(c),
        }
    }
    Err(format!("unmatched {quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_line_is_read() {
        let text = "\n# comment\nA=plain\nexport B = with blanks # and a comment\nC=\"quo\\\"ted\\n\"\nD='raw \\n # x'\n\
                    E=\nF=a\"b c\"'d'e\nG=http://x:1/y?z=1\n";
        let read: Vec<String> = parse_env_file(text)
            .unwrap()
            .into_iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            read,
            [
                "A=plain",
                "B=with blanks",
                "C=quo\"ted\n",
                "D=raw \\n # x",
                "E=",
                "F=ab cde",
                "G=http://x:1/y?z=1"
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, error) in [
            ("A=1\nnonsense", "line 2: missing \"=\""),
            ("=1", "line 1: nothing before the \"=\""),
            (
                "1A=1",
                "line 1: a name must start with a letter or \"_\", not '1'",
            ),
            ("A=\"x", "line 1: unmatched \""),
            ("A=\"\\q\"", "line 1: invalid escape sequence: \\q"),
        ] {
            assert_eq!(parse_env_file(text).unwrap_err().to_string(), error);
        }
    }
}
