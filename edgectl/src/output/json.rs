//! `-json` and `-t`: the answer itself, printed or run through the operator's own template.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gotmpl::Template;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// How the operator wants an answer that programs read.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Format {
    /// Print the answer as JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print the answer through a Go template
    #[arg(short = 't', value_name = "TEMPLATE", help_heading = "Output")]
    pub template: Option<String>,
}

impl Format {
    /// Whether people read the answer.
    pub const fn is_plain(&self) -> bool {
        !self.json && self.template.is_none()
    }

    /// The answer in the wanted form; nothing when people read it.
    ///
    /// # Errors
    /// When both forms are asked for, or the template does not run.
    pub fn render(&self, answer: &Value) -> Result<Option<String>> {
        match (self.json, &self.template) {
            (false, None) => Ok(None),
            (true, None) => Ok(Some(pretty(answer))),
            (false, Some(template)) => run_template(template, answer).map(Some),
            (true, Some(_)) => bail!("-json and -t exclude each other: give one of them"),
        }
    }
}

/// JSON with four blanks a level, as the original prints it.
pub fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    value
        .serialize(&mut serializer)
        .expect("a JSON value always serialises into memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn run_template(source: &str, answer: &Value) -> Result<String> {
    let template = Template::new("-t")
        .parse(source)
        .context("Error formatting the data: the template of -t")?;
    template
        .execute_to_string(&to_template_value(answer))
        .context("Error formatting the data: the template of -t")
}

fn to_template_value(value: &Value) -> gotmpl::Value {
    match value {
        Value::Null => gotmpl::Value::Nil,
        Value::Bool(flag) => gotmpl::Value::Bool(*flag),
        // Indexes and times are whole numbers and must print as such.
        Value::Number(number) => match number.as_i64() {
            Some(whole) => gotmpl::Value::Int(whole),
            None => gotmpl::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => gotmpl::Value::String(text.as_str().into()),
        Value::Array(items) => gotmpl::Value::List(items.iter().map(to_template_value).collect()),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (Arc::from(key.as_str()), to_template_value(value)));
            gotmpl::Value::Map(Arc::new(fields.collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_sees_the_fields_of_the_answer() {
        let answer = serde_json::json!([{"ID": "web", "ModifyIndex": 64}, {"ID": "db", "ModifyIndex": 7}]);
        let format = Format {
            json: false,
            template: Some("{{range .}}{{.ID}}={{.ModifyIndex}} {{end}}".to_owned()),
        };
        assert_eq!(format.render(&answer).unwrap().unwrap(), "web=64 db=7 ");
    }

    #[test]
    fn a_broken_template_says_that_it_is_the_template() {
        let format = Format {
            json: false,
            template: Some("{{nothing .}}".to_owned()),
        };
        let error = format.render(&Value::Null).unwrap_err();
        assert!(error.to_string().contains("template of -t"), "{error:#}");
    }

    #[test]
    fn json_and_a_template_exclude_each_other() {
        let format = Format {
            json: true,
            template: Some(String::new()),
        };
        assert!(format.render(&Value::Null).is_err());
    }
}
