//! The file layer: HCL whose blocks flatten to dotted names.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::{Element, StringTemplate};

use crate::error::{Problem, SettingsError};
use crate::suggest;
use crate::table::{Kind, Setting};
use crate::value::{Origin, Value, Values};

/// The files behind a path: itself, or the `*.hcl` files of a folder by name.
pub(crate) fn expand(path: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let unreadable = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(unreadable)?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "hcl") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file into `values`; what is wrong with its keys and values goes to `problems`.
pub(crate) fn load(
    table: &'static [Setting],
    path: &Path,
    values: &mut Values,
    problems: &mut Vec<Problem>,
) -> Result<(), SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let body = match hcl_edit::parser::parse_body(&text) {
        Ok(body) => body,
        Err(error) => {
            problems.push(Problem::file(path, error.location().line(), error.message()));
            return Ok(());
        }
    };
    let mut reader = Reader {
        table,
        path,
        text: &text,
        values,
        problems,
    };
    reader.body(&body, "");
    Ok(())
}

struct Reader<'a> {
    table: &'static [Setting],
    path: &'a Path,
    text: &'a str,
    values: &'a mut Values,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn body(&mut self, body: &Body, prefix: &str) {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let line = self.line(attribute.key.span());
                    self.attribute(
                        &format!("{prefix}{}", attribute.key.as_str()),
                        line,
                        &attribute.value,
                    );
                }
                Structure::Block(block) => {
                    let mut name = format!("{prefix}{}", block.ident.as_str());
                    for label in &block.labels {
                        name = format!("{name}.{}", label.as_str());
                    }
                    let line = self.line(block.ident.span());
                    if self.is_known_block(&name) {
                        self.body(&block.body, &format!("{name}."));
                    } else {
                        self.unknown("block", &name, line);
                    }
                }
            }
        }
    }

    fn attribute(&mut self, name: &str, line: usize, expression: &Expression) {
        let origin = Origin::File(self.path.to_owned(), line);
        let outcome = if let Some(setting) = self.table.iter().find(|setting| setting.name == name) {
            read(setting.kind, expression).map(|value| self.values.set(setting, value, origin))
        } else if let Some((setting, key)) = self.map_entry(name) {
            scalar(expression).map(|text| {
                let entry = BTreeMap::from([(key.to_owned(), text)]);
                self.values.set(setting, Value::Map(entry), origin);
            })
        } else {
            return self.unknown("setting", name, line);
        };
        if let Err(reason) = outcome {
            self.problems
                .push(Problem::file(self.path, line, format!("{name}: {reason}")));
        }
    }

    /// The map that a name lies in, and the rest of the name: `client.meta.rack` is `rack` of `client.meta`.
    fn map_entry<'n>(&self, name: &'n str) -> Option<(&'static Setting, &'n str)> {
        let maps = self.table.iter().filter(|setting| setting.kind == Kind::Map);
        maps.filter_map(|setting| Some((setting, name.strip_prefix(setting.name)?.strip_prefix('.')?)))
            .max_by_key(|(setting, _)| setting.name.len())
    }

    fn is_known_block(&self, name: &str) -> bool {
        let inside = |setting: &Setting| {
            setting
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
                || setting.kind == Kind::Map && setting.name == name
        };
        self.table.iter().any(inside) || self.map_entry(name).is_some()
    }

    fn unknown(&mut self, what: &str, name: &str, line: usize) {
        let names = self.table.iter().flat_map(|setting| {
            let prefixes = setting
                .name
                .match_indices('.')
                .map(|(dot, _)| &setting.name[..dot]);
            prefixes
                .chain([setting.name])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        let hint = suggest::nearest(name, names);
        self.problems
            .push(Problem::file(self.path, line, format!("there is no {what} {name:?}")).hint(hint));
    }

    fn line(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |span| span.start);
        self.text[..start].matches('\n').count() + 1
    }
}

fn read(kind: Kind, expression: &Expression) -> Result<Value, String> {
    match (kind, expression) {
        (Kind::List, Expression::Array(items)) => items
            .iter()
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Kind::List, _) => scalar(expression).map(|text| Value::List(vec![text])),
        (Kind::Map, Expression::Object(object)) => {
            let entry = |(key, value): (&ObjectKey, &hcl_edit::expr::ObjectValue)| {
                let key = match key {
                    ObjectKey::Ident(ident) => ident.as_str().to_owned(),
                    ObjectKey::Expression(expression) => scalar(expression)?,
                };
                Ok((key, scalar(value.expr())?))
            };
            object.iter().map(entry).collect::<Result<_, _>>().map(Value::Map)
        }
        (Kind::Map, _) => Err("expected a block or { key = \"value\" }".to_owned()),
        (Kind::Bool, Expression::Bool(_) | Expression::String(_))
        | (Kind::String | Kind::Integer | Kind::Duration, _) => Value::parse(kind, &scalar(expression)?),
        (Kind::Bool, _) => Err("expected true or false".to_owned()),
    }
}

/// A plain value as text. Configuration files have no variables or functions.
fn scalar(expression: &Expression) -> Result<String, String> {
    match expression {
        Expression::String(text) => Ok(text.value().clone()),
        Expression::Bool(flag) => Ok(flag.value().to_string()),
        Expression::Number(number) => Ok(number.value().to_string()),
        Expression::StringTemplate(template) => literal(template),
        Expression::HeredocTemplate(heredoc) => {
            let text: Option<String> = heredoc.template.iter().map(element).collect();
            text.ok_or_else(|| INTERPOLATION.to_owned())
        }
        Expression::Parenthesis(inner) => scalar(inner.inner()),
        _ => Err("expected a plain value: text, number, true or false".to_owned()),
    }
}

const INTERPOLATION: &str = "configuration files have no ${...} interpolation";

fn literal(template: &StringTemplate) -> Result<String, String> {
    template
        .iter()
        .map(element)
        .collect::<Option<String>>()
        .ok_or_else(|| INTERPOLATION.to_owned())
}

fn element(element: &Element) -> Option<&str> {
    element.as_literal().map(|text| text.value().as_str())
}
