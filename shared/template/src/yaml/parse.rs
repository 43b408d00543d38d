//! Reading.

use serde_json::{Map, Value};
use thiserror::Error;

use super::scalar::resolve;

/// Why a text is no YAML that we read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct YamlError {
    /// 1-based.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads one document; an empty one is null.
///
/// # Errors
/// The first line that is no YAML, or uses what is not supported.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    let lines = text.lines().map(str::to_owned).collect();
    let mut parser = Parser {
        lines,
        at: 0,
        depth: 0,
    };
    parser.skip_blank();
    if parser.line().is_some_and(|line| line.trim_end() == "---") {
        parser.at += 1;
    }
    let value = parser.node(0)?;
    parser.skip_blank();
    match parser.line().map(str::trim_end) {
        None | Some("..." | "---") => Ok(value),
        Some(_) => Err(parser.error("this line is indented deeper than its neighbours")),
    }
}

type Parsed<T> = Result<T, YamlError>;

struct Parser {
    lines: Vec<String>,
    at: usize,
    depth: usize,
}

/// What nests deeper is refused, lest it exhaust the stack.
const DEEPEST: usize = 100;

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty() || text.starts_with('#')
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

impl Parser {
    fn line(&self) -> Option<&str> {
        self.lines.get(self.at).map(String::as_str)
    }

    fn error(&self, reason: impl Into<String>) -> YamlError {
        YamlError {
            line: (self.at + 1).min(self.lines.len().max(1)),
            reason: reason.into(),
        }
    }

    fn skip_blank(&mut self) {
        while self.line().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// The next line that says something, when it is indented by at least `least`.
    fn upcoming(&mut self, least: usize) -> Option<(usize, String)> {
        self.skip_blank();
        let line = self.line()?;
        let indent = indent_of(line);
        let is_end = indent == 0 && matches!(line.trim_end(), "---" | "...");
        (indent >= least && !is_end).then(|| (indent, line[indent..].trim_end().to_owned()))
    }

    fn node(&mut self, least: usize) -> Parsed<Value> {
        if self.depth >= DEEPEST {
            return Err(self.error("collections are nested too deeply"));
        }
        self.depth += 1;
        let value = self.node_inside(least);
        self.depth -= 1;
        value
    }

    fn node_inside(&mut self, least: usize) -> Parsed<Value> {
        let Some((indent, text)) = self.upcoming(least) else {
            return Ok(Value::Null);
        };
        if is_item(&text) {
            return self.sequence(indent);
        }
        if key_end(&text).is_some() {
            return self.mapping(indent);
        }
        self.value(&text, indent)
    }

    fn sequence(&mut self, indent: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        while let Some((found, text)) = self.upcoming(indent)
            && is_item(&text)
        {
            if found > indent {
                return Err(self.error("this line is indented deeper than its neighbours"));
            }
            // What follows the dash stands as if on a line of its own.
            self.lines[self.at].replace_range(indent..=indent, " ");
            items.push(self.node(indent + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize) -> Parsed<Value> {
        let mut map = Map::new();
        while let Some((found, text)) = self.upcoming(indent) {
            let Some(end) = key_end(&text) else {
                return Err(self.error("a key and a \":\" are expected"));
            };
            if found > indent {
                return Err(self.error("this line is indented deeper than its neighbours"));
            }
            let key = match scalar(text[..end].trim_end()).map_err(|reason| self.error(reason))? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            let rest = text[end + 1..].trim_start().to_owned();
            let value = if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                self.nested(indent)?
            } else {
                self.value(&rest, indent)?
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    /// The value of a key that has nothing behind it on its line: deeper, or a sequence at the same depth.
    fn nested(&mut self, indent: usize) -> Parsed<Value> {
        match self.upcoming(indent) {
            Some((found, text)) if found == indent && is_item(&text) => self.sequence(indent),
            Some((found, _)) if found > indent => self.node(found),
            _ => Ok(Value::Null),
        }
    }

    /// A value that starts with `text` on the current line, whose parent is indented by `indent`.
    fn value(&mut self, text: &str, indent: usize) -> Parsed<Value> {
        match text.chars().next() {
            Some('|' | '>') => self.block_scalar(text, indent),
            Some('&' | '*' | '!') => Err(self.error("anchors, aliases and tags are not supported")),
            Some(open @ ('[' | '{' | '"' | '\'')) => {
                let (first, mut text) = (self.at, text.to_owned());
                loop {
                    let mut flow = Flow::new(&text);
                    let value = flow.value();
                    if let Ok(value) = value
                        && is_blank(&text[flow.at..])
                    {
                        self.at += 1;
                        return Ok(value);
                    }
                    self.at += 1;
                    let Some(more) = self
                        .line()
                        .filter(|line| is_blank(line) || indent_of(line) > indent || first == 0)
                    else {
                        self.at = first;
                        return Err(self.error(format!("the {open} is not closed")));
                    };
                    text = format!("{text} {}", more.trim());
                }
            }
            _ => {
                let mut plain = without_comment(text).to_owned();
                self.at += 1;
                while let Some(line) = self.line().filter(|line| {
                    !is_blank(line)
                        && (indent_of(line) > indent
                            || indent == 0 && key_end(line).is_none() && !is_item(line.trim()))
                }) {
                    if key_end(line.trim_start()).is_some() {
                        return Err(self.error("this line is indented deeper than its neighbours"));
                    }
                    plain = format!("{plain} {}", without_comment(line.trim()));
                    self.at += 1;
                }
                Ok(resolve(&plain))
            }
        }
    }

    /// `|` keeps line breaks, `>` folds them; `-` drops the last one, `+` keeps all.
    fn block_scalar(&mut self, header: &str, indent: usize) -> Parsed<Value> {
        let header = without_comment(header);
        let is_literal = header.starts_with('|');
        let explicit = header
            .chars()
            .find_map(|c| c.to_digit(10))
            .map(|digit| indent + digit as usize);
        self.at += 1;
        let mut lines: Vec<String> = Vec::new();
        let mut depth = explicit;
        while let Some(line) = self.line() {
            let is_empty = line.trim().is_empty();
            let found = indent_of(line);
            if !is_empty
                && found < depth.unwrap_or(indent + 1).max(usize::from(indent > 0))
                && (depth.is_some() || found <= indent)
            {
                break;
            }
            if !is_empty && depth.is_none() {
                depth = Some(found);
            }
            lines.push(line.get(depth.unwrap_or(found)..).unwrap_or_default().to_owned());
            self.at += 1;
        }
        let trailing = lines
            .iter()
            .rev()
            .take_while(|line| line.trim().is_empty())
            .count();
        let body = &lines[..lines.len() - trailing];
        let mut text = if is_literal { body.join("\n") } else { fold(body) };
        if header.contains('+') {
            text.push_str(&"\n".repeat(trailing + 1));
        } else if !header.contains('-') && !body.is_empty() {
            text.push('\n');
        }
        Ok(Value::String(text))
    }
}

/// Joins lines with blanks; empty lines and deeper lines keep their breaks.
fn fold(lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            let keeps = |line: &str| line.is_empty() || line.starts_with(' ');
            let before = &lines[index - 1];
            match (keeps(before), keeps(line)) {
                (false, false) => out.push(' '),
                (true, false) if before.is_empty() => {}
                _ => out.push('\n'),
            }
        }
        out.push_str(line);
    }
    out
}

fn without_comment(text: &str) -> &str {
    text.find(" #").map_or(text, |at| &text[..at]).trim_end()
}

/// Where the colon behind a key is.
fn key_end(text: &str) -> Option<usize> {
    let quoted = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let from = match quoted {
        Some(_) => {
            let mut flow = Flow::new(text);
            flow.value().ok()?;
            flow.at
        }
        None if text.starts_with(['[', '{', '#', '|', '>']) => return None,
        None => 0,
    };
    let rest = &text[from..];
    let end = rest
        .find(": ")
        .or_else(|| rest.ends_with(':').then(|| rest.len() - 1))?;
    let before = &rest[..end];
    let is_key = if quoted.is_some() {
        before.trim().is_empty()
    } else {
        !before.contains(" #")
    };
    is_key.then_some(from + end)
}

fn scalar(text: &str) -> Result<Value, String> {
    if text.starts_with(['"', '\'']) {
        Flow::new(text).value()
    } else {
        Ok(Value::String(text.to_owned()))
    }
}

/// Flow style: brackets, braces and quotes.
struct Flow<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Flow<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }
}

impl Flow<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest().chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.peek() {
            Some('[' | '{') if self.depth >= DEEPEST => Err("collections are nested too deeply".to_owned()),
            Some(open @ ('[' | '{')) => {
                self.depth += 1;
                let value = if open == '[' { self.list() } else { self.map() };
                self.depth -= 1;
                value
            }
            Some('"') => self.double_quoted().map(Value::String),
            Some('\'') => self.single_quoted().map(Value::String),
            _ => {
                let rest = self.rest();
                let ends = |at: usize, c: char| {
                    matches!(c, ',' | ']' | '}')
                        || c == ':' && rest[at + 1..].starts_with([' ', ',', '}', ']'])
                };
                let end = rest
                    .char_indices()
                    .find(|(at, c)| ends(*at, *c))
                    .map_or(rest.len(), |(at, _)| at);
                let plain = resolve(rest[..end].trim());
                self.at += end;
                Ok(plain)
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        self.take('[');
        let mut items = Vec::new();
        while !self.take(']') {
            if self.peek().is_none() {
                return Err("the [ is not closed".to_owned());
            }
            items.push(self.value()?);
            if !self.take(',') && self.peek() != Some(']') {
                return Err("a \",\" or \"]\" is expected".to_owned());
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self) -> Result<Value, String> {
        self.take('{');
        let mut map = Map::new();
        while !self.take('}') {
            if self.peek().is_none() {
                return Err("the { is not closed".to_owned());
            }
            let key = match self.value()? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            let value = if self.take(':') && !matches!(self.peek(), Some(',' | '}')) {
                self.value()?
            } else {
                Value::Null
            };
            map.insert(key, value);
            if !self.take(',') && self.peek() != Some('}') {
                return Err("a \",\" or \"}\" is expected".to_owned());
            }
        }
        Ok(Value::Object(map))
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let rest = &self.text[self.at + 1..];
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let body = &rest[..at];
                    self.at += at + 2;
                    return unescape(body);
                }
                _ => {}
            }
        }
        Err("the \" is not closed".to_owned())
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let rest = &self.text[self.at + 1..];
        let mut out = String::new();
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '\'' {
                out.push(c);
            } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
                out.push('\'');
            } else {
                self.at += at + 2;
                return Ok(out);
            }
        }
        Err("the ' is not closed".to_owned())
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let letter = chars.next().unwrap_or('\\');
        let mut code = |digits: usize| {
            let hex: String = chars.by_ref().take(digits).collect();
            u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
        };
        out.push(match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'x' => code(2).ok_or("bad \\x escape")?,
            'u' => code(4).ok_or("bad \\u escape")?,
            'U' => code(8).ok_or("bad \\U escape")?,
            other => other,
        });
    }
    Ok(out)
}
