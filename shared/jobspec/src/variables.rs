//! Input variables and locals.

use std::collections::BTreeMap;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Block;

use crate::ParseOptions;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::eval::{Evaluator, Scope, start_of};
use crate::parse::{self, File};
use crate::source::Source;
use crate::suggest;
use crate::types::Type;
use crate::value::Value;

/// One `variable` block.
struct Variable<'a> {
    of: Type,
    value: Option<Value>,
    /// Condition and message of each `validation` block.
    validations: Vec<(&'a Expression, &'a Expression)>,
}

/// Reads the declarations, takes in what the caller set, and checks it.
pub(crate) struct Variables<'a> {
    evaluator: Evaluator<'a>,
    options: &'a ParseOptions,
    by_name: BTreeMap<String, Variable<'a>>,
}

impl<'a> Variables<'a> {
    /// The `var` object of a file.
    pub(crate) fn resolve(
        file: &'a File,
        evaluator: Evaluator<'a>,
        options: &'a ParseOptions,
        diagnostics: &mut Diagnostics,
    ) -> Value {
        let mut variables = Self {
            evaluator,
            options,
            by_name: BTreeMap::new(),
        };
        variables.declare(file, diagnostics);
        variables.take_environment(diagnostics);
        variables.take_files(diagnostics);
        variables.take_arguments(diagnostics);
        variables.finish(diagnostics)
    }

    fn declare(&mut self, file: &'a File, diagnostics: &mut Diagnostics) {
        let scope = Scope::default();
        for block in file.body.blocks() {
            match block.ident.as_str() {
                "variable" => {
                    let declared = self.declare_one(block);
                    diagnostics.take(declared);
                }
                // The older form: names and defaults.
                "variables" => {
                    for attribute in block.body.attributes() {
                        let Some(value) = diagnostics.take(self.evaluator.evaluate(&attribute.value, &scope))
                        else {
                            continue;
                        };
                        let variable = Variable {
                            of: Type::Any,
                            value: Some(value),
                            validations: Vec::new(),
                        };
                        self.by_name.insert(attribute.key.as_str().to_owned(), variable);
                    }
                }
                _ => {}
            }
        }
    }

    fn declare_one(&mut self, block: &'a Block) -> Result<(), Diagnostic> {
        let at = block.ident.span().unwrap_or_default();
        let Some(label) = block.labels.first() else {
            let detail = "All variable blocks must have 1 labels (name).";
            return Err(self.evaluator.error(at, "Missing name for variable", detail));
        };
        let name = label.as_str().to_owned();
        if self.by_name.contains_key(&name) {
            let detail = format!("Duplicate {name} variable definition found.");
            return Err(self.evaluator.error(at, "Duplicate variable", detail));
        }
        let known = ["type", "default", "description", "sensitive"];
        let mut attributes = block.body.attributes();
        if let Some(attribute) = attributes.find(|it| !known.contains(&it.key.as_str())) {
            let unknown = attribute.key.as_str();
            let mut detail = format!("An argument named {unknown:?} is not expected here.");
            if let Some(near) = suggest::nearest(unknown, known) {
                detail.push_str(&format!(" Did you mean {near:?}?"));
            }
            let span = attribute.key.span().unwrap_or_default();
            return Err(self.evaluator.error(span, "Unsupported argument", detail));
        }
        let of = match block.body.get_attribute("type") {
            None => Type::Any,
            Some(attribute) => Type::parse(&attribute.value).map_err(|reason| {
                self.evaluator
                    .error(start_of(&attribute.value), "Invalid type specification", reason)
            })?,
        };
        let mut value = None;
        if let Some(attribute) = block.body.get_attribute("default") {
            let default = self.evaluator.evaluate(&attribute.value, &Scope::default())?;
            value = Some(of.convert(default).map_err(|reason| {
                let detail = format!(
                    "This default value is not compatible with the variable's type constraint: {reason}."
                );
                let span = attribute.value.span().unwrap_or_default();
                self.evaluator
                    .error(span, "Invalid default value for variable", detail)
            })?);
        }
        let validations = block.body.get_blocks("validation").filter_map(|validation| {
            let condition = &validation.body.get_attribute("condition")?.value;
            Some((condition, &validation.body.get_attribute("error_message")?.value))
        });
        let validations = validations.collect();
        self.by_name.insert(
            name,
            Variable {
                of,
                value,
                validations,
            },
        );
        Ok(())
    }

    /// `NOMAD_VAR_x` and, stronger, `EDGE_VAR_x`; unknown ones may belong to other files.
    fn take_environment(&mut self, diagnostics: &mut Diagnostics) {
        for prefix in ["NOMAD_VAR_", "EDGE_VAR_"] {
            for (name, raw) in &self.options.env {
                let Some(variable) = name.strip_prefix(prefix) else {
                    continue;
                };
                if self.by_name.contains_key(variable) {
                    let taken = self.take_raw(variable, raw, &format!("<value for var.{variable} from env>"));
                    diagnostics.take(taken);
                }
            }
        }
    }

    fn take_files(&mut self, diagnostics: &mut Diagnostics) {
        for (name, text) in &self.options.var_files {
            let Some(file) = diagnostics.take(parse::file(name, text)) else {
                continue;
            };
            let evaluator = Evaluator {
                source: &file.source,
                flush: &file.flush,
                ..self.evaluator
            };
            for attribute in file.body.attributes() {
                let Some(value) = diagnostics.take(evaluator.evaluate(&attribute.value, &Scope::default()))
                else {
                    continue;
                };
                let name = attribute.key.as_str();
                let at = (&file.source, start_of(&attribute.value));
                let taken = match self.by_name.get_mut(name) {
                    Some(variable) => set(variable, name, value, at),
                    None => Err(Diagnostic::new(
                        (&file.source, attribute.key.span().unwrap_or_default()),
                        "Undefined variable",
                        undeclared(name, "set in this file", self.by_name.keys()),
                    )),
                };
                diagnostics.take(taken);
            }
        }
    }

    fn take_arguments(&mut self, diagnostics: &mut Diagnostics) {
        for argument in &self.options.vars {
            let taken = match argument.split_once('=') {
                None => Err(Diagnostic::without_place(
                    "Invalid -var option",
                    format!(
                        "The given -var option {argument:?} is not correctly specified. Must be a variable name and value separated by an equals sign, like -var=\"key=value\"."
                    ),
                )),
                Some((name, raw)) if self.by_name.contains_key(name) => {
                    self.take_raw(name, raw, &format!("<value for var.{name} from arguments>"))
                }
                Some((name, _)) => Err(Diagnostic::without_place(
                    "Undefined -var variable",
                    undeclared(name, "passed in the command line", self.by_name.keys()),
                )),
            };
            diagnostics.take(taken);
        }
    }

    /// A value given as bare text: itself for text and numbers, an expression otherwise.
    fn take_raw(&mut self, name: &str, raw: &str, origin: &str) -> Result<(), Diagnostic> {
        let variable = self.by_name.get_mut(name).expect("the caller looked it up");
        if matches!(variable.of, Type::String | Type::Number | Type::Any) {
            let source = Arc::new(Source::new(origin, raw));
            return set(variable, name, Value::text(raw), (&source, 0..raw.len()));
        }
        let (source, expression) = parse::expression(origin, raw)?;
        let evaluator = Evaluator {
            source: &source,
            ..self.evaluator
        };
        let value = evaluator.evaluate(&expression, &Scope::default())?;
        set(variable, name, value, (&source, 0..raw.len()))
    }

    /// Every variable must have a value by now, and a valid one.
    fn finish(self, diagnostics: &mut Diagnostics) -> Value {
        let mut values = BTreeMap::new();
        for (name, variable) in &self.by_name {
            match &variable.value {
                Some(value) => {
                    values.insert(name.clone(), value.clone());
                }
                None => diagnostics.push(Diagnostic::without_place(
                    format!("Unset variable {name:?}"),
                    format!(
                        "A used variable must be set or have a default value; set it with -var {name}=…, a -var-file, \
                         or the environment variable NOMAD_VAR_{name}."
                    ),
                )),
            }
        }
        let all = Value::Object(values);
        let scope = Scope::new([("var".to_owned(), all.clone())]);
        for variable in self.by_name.values().filter(|variable| variable.value.is_some()) {
            for (condition, message) in &variable.validations {
                diagnostics.take(self.validate(condition, message, &scope));
            }
        }
        all
    }

    fn validate(
        &self,
        condition: &Expression,
        message: &Expression,
        scope: &Scope<'_>,
    ) -> Result<(), Diagnostic> {
        let span = condition.span().unwrap_or_default();
        match Type::Bool.convert(self.evaluator.evaluate(condition, scope)?) {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(Value::Bool(false)) => {
                let message = self
                    .evaluator
                    .evaluate(message, scope)?
                    .as_text()
                    .unwrap_or_default();
                Err(self.evaluator.error(span, "Invalid value for variable", message))
            }
            _ => {
                let detail = "Validation condition expression must return either true or false.";
                Err(self
                    .evaluator
                    .error(span, "Invalid variable validation result", detail))
            }
        }
    }
}

fn set(
    variable: &mut Variable<'_>,
    name: &str,
    value: Value,
    at: (&Arc<Source>, crate::source::Span),
) -> Result<(), Diagnostic> {
    let converted = variable.of.convert(value).map_err(|reason| {
        let detail =
            format!("The value for {name} is not compatible with the variable's type constraint: {reason}.");
        Diagnostic::new(at, "Invalid value for variable", detail)
    })?;
    variable.value = Some(converted);
    Ok(())
}

fn undeclared<'n>(name: &str, how: &str, known: impl Iterator<Item = &'n String>) -> String {
    let mut detail = format!(
        "A {name:?} variable was {how} but was not found in known variables. To declare variable {name:?}, place this \
         block in one of your job files: variable {name:?} {{}}."
    );
    if let Some(near) = suggest::nearest(name, known.map(String::as_str)) {
        detail.push_str(&format!(" Did you mean {near:?}?"));
    }
    detail
}

/// The `local` object of a file: each is tried again while others succeed, so that order does not matter.
pub(crate) fn locals(
    file: &File,
    evaluator: Evaluator<'_>,
    scope: &mut Scope<'_>,
    diagnostics: &mut Diagnostics,
) {
    let blocks = file.body.get_blocks("locals");
    let mut waiting: Vec<_> = blocks.flat_map(|block| block.body.attributes()).collect();
    let mut done = BTreeMap::new();
    scope.define("local", Value::Object(done.clone()));
    loop {
        let before = waiting.len();
        let mut last = None;
        waiting.retain(|attribute| match evaluator.evaluate(&attribute.value, scope) {
            Ok(value) => {
                done.insert(attribute.key.as_str().to_owned(), value);
                scope.define("local", Value::Object(done.clone()));
                false
            }
            Err(diagnostic) => {
                last = Some(diagnostic);
                true
            }
        });
        match last {
            // Of a cycle, the last link is as good as any.
            Some(diagnostic) if waiting.len() == before => return diagnostics.push(diagnostic),
            Some(_) => {}
            None => return,
        }
    }
}
