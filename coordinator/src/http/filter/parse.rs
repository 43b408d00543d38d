//! Text to condition.

use holdfast_shared::model::PATTERN_BYTES_MAX;
use regex::RegexBuilder;

use super::{Condition, Selector};

/// Nesting that is followed at most.
const DEPTH_MAX: usize = 32;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum FilterError {
    /// Something else was expected.
    #[error("{0} is expected at {1}")]
    Expected(&'static str, String),
    /// A text has no end.
    #[error("the quotation mark at `{0}` is not closed")]
    Open(String),
    /// A pattern makes no sense.
    #[error("`{0}` is not a regular expression")]
    Pattern(String),
    /// Parentheses in parentheses in parentheses.
    #[error("the expression is nested too deeply")]
    Deep,
}

pub(super) fn parse(text: &str) -> Result<Condition, FilterError> {
    let mut parser = Parser {
        rest: text.trim_start(),
        depth: 0,
    };
    let condition = parser.any()?;
    if parser.rest.is_empty() {
        Ok(condition)
    } else {
        Err(parser.expected("`and` or `or`"))
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// A selector or a value: which of them is seen only by what stands around it.
enum Operand {
    Word(String),
    Path(Selector),
    Quoted(String),
}

impl Operand {
    fn selector(self) -> Selector {
        match self {
            Self::Path(path) => path,
            // A JSON pointer, for keys that are no words.
            Self::Quoted(text) if text.starts_with('/') => text[1..]
                .split('/')
                .map(|key| key.replace("~1", "/").replace("~0", "~"))
                .collect(),
            Self::Word(text) | Self::Quoted(text) => text.split('.').map(str::to_owned).collect(),
        }
    }

    fn value(self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) => text,
            Self::Path(path) => path.join("."),
        }
    }
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, FilterError> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::Any(parts)
        })
    }

    fn all(&mut self) -> Result<Condition, FilterError> {
        let mut parts = vec![self.unary()?];
        while self.keyword("and") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::All(parts)
        })
    }

    fn unary(&mut self) -> Result<Condition, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::Deep);
        }
        let condition = if self.keyword("not") {
            Condition::Not(Box::new(self.unary()?))
        } else if self.symbol("(") {
            let inner = self.any()?;
            if !self.symbol(")") {
                return Err(self.expected("a closing parenthesis"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, FilterError> {
        let left = self.operand("an expression")?;
        if self.symbol("==") {
            return Ok(Condition::Equal(
                left.selector(),
                self.operand("a value")?.value(),
            ));
        }
        if self.symbol("!=") {
            return Ok(not(Condition::Equal(
                left.selector(),
                self.operand("a value")?.value(),
            )));
        }
        if self.keyword("is") {
            let negated = self.keyword("not");
            if !self.keyword("empty") {
                return Err(self.expected("`empty`"));
            }
            return Ok(negate_if(negated, Condition::Empty(left.selector())));
        }
        let negated = self.keyword("not");
        let condition = if self.keyword("in") {
            Condition::Contains(self.operand("a name")?.selector(), left.value())
        } else if self.keyword("contains") {
            Condition::Contains(left.selector(), self.operand("a value")?.value())
        } else if self.keyword("matches") {
            let pattern = self.operand("a regular expression")?.value();
            let regex = RegexBuilder::new(&pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .map_err(|_| FilterError::Pattern(pattern))?;
            Condition::Matches(left.selector(), regex)
        } else {
            return Err(self.expected("an operator like =="));
        };
        Ok(negate_if(negated, condition))
    }

    fn operand(&mut self, what: &'static str) -> Result<Operand, FilterError> {
        if let Some(quote @ ('"' | '`')) = self.rest.chars().next() {
            return self.quoted(quote).map(Operand::Quoted);
        }
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '+');
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.expected(what));
        }
        let word = self.rest[..end].to_owned();
        let mut rest = &self.rest[end..];
        if !rest.starts_with('[') {
            self.rest = rest.trim_start();
            return Ok(Operand::Word(word));
        }
        let mut path: Selector = word.split('.').map(str::to_owned).collect();
        while rest.starts_with("[\"") {
            self.rest = &rest[1..];
            path.push(self.quoted('"')?);
            if !self.rest.starts_with(']') {
                return Err(self.expected("a closing bracket"));
            }
            rest = &self.rest[1..];
        }
        self.rest = rest.trim_start();
        Ok(Operand::Path(path))
    }

    /// A text in `quote`s; in `"` a backslash keeps the next character.
    fn quoted(&mut self, quote: char) -> Result<String, FilterError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' if quote == '"' => text.extend(characters.next().map(|(_, character)| character)),
                _ if character == quote => {
                    self.rest = self.rest[at + 1..].trim_start();
                    return Ok(text);
                }
                _ => text.push(character),
            }
        }
        Err(FilterError::Open(self.rest.to_owned()))
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.rest
            .strip_prefix(symbol)
            .map(|rest| self.rest = rest.trim_start())
            .is_some()
    }

    fn keyword(&mut self, word: &str) -> bool {
        let follows = |rest: &str| {
            rest.chars()
                .next()
                .is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.')
        };
        match self.rest.strip_prefix(word) {
            Some(rest) if follows(rest) => {
                self.rest = rest.trim_start();
                true
            }
            _ => false,
        }
    }

    fn expected(&self, what: &'static str) -> FilterError {
        let place = if self.rest.is_empty() {
            "the end".to_owned()
        } else {
            format!("`{}`", self.rest)
        };
        FilterError::Expected(what, place)
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn negate_if(negated: bool, condition: Condition) -> Condition {
    if negated { not(condition) } else { condition }
}
