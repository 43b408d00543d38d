//! Job files: HCL2 in, [`Job`] out, with errors that name the place and the fix.
//!
//! Owns: the syntax (over `hcl-edit`), evaluation with variables, locals and functions, typed decoding into the
//! model, and the validation of a job's meaning. Deliberately does not know what a job does: defaults are the
//! model's ([`Job::canonicalize`]), driver configuration is the drivers'.

mod body;
mod decode;
mod diagnostic;
mod eval;
mod functions;
mod heredoc;
mod number;
mod parse;
mod repeated;
mod source;
mod suggest;
mod syntax;
mod types;
mod upgrade;
mod validate;
mod value;
mod variables;

use std::path::PathBuf;

use hcl_edit::structure::Structure;
use holdfast_shared::model::Job;
use serde_json::Value as Json;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use upgrade::{Upgraded, upgrade};
pub use validate::{Surroundings, Validation, validate};

use body::{Body, Expander};
use eval::{Evaluator, Scope};
use functions::Environment;
use parse::File;
use variables::Variables;

/// What a job file may see, and what messages call it.
#[derive(Debug, Clone, Default)]
pub struct ParseOptions {
    /// What messages call the file; may be empty.
    pub file_name: String,
    /// `name=value`, as given to `-var`; the strongest.
    pub vars: Vec<String>,
    /// Name and text of each `-var-file`, in order; stronger than the environment.
    pub var_files: Vec<(String, String)>,
    /// Environment variables; those called `NOMAD_VAR_…` and `EDGE_VAR_…` set variables.
    pub env: Vec<(String, String)>,
    /// Where relative paths of `file()` and its kin start. Without it they are disabled, as on a coordinator.
    pub base: Option<PathBuf>,
}

/// Whether a text is in the language at all, whatever it means.
///
/// # Errors
/// The first place where it is not.
pub fn check_syntax(file_name: &str, source: &str) -> Result<(), Diagnostic> {
    parse::file(file_name, source).map(|_| ())
}

/// Reads a job file into a job, exactly as written: without defaults and not yet validated.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn parse_job(source: &str, options: &ParseOptions) -> Result<Job, Diagnostics> {
    let tree = parse_job_tree(source, options)?;
    serde_json::from_value(tree).map_err(|error| {
        Diagnostic::without_place(
            "Unsuitable job",
            format!("The job does not fit the model: {error}."),
        )
        .into()
    })
}

/// As [`parse_job`], as the tree of the JSON API.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn parse_job_tree(source: &str, options: &ParseOptions) -> Result<Json, Diagnostics> {
    if source.trim().is_empty() {
        return Err(Diagnostic::without_place(
            "Job spec is empty",
            "A job file needs a job block: job \"name\" { … }.",
        )
        .into());
    }
    let mut diagnostics = Diagnostics::default();
    let file = parse::file(&options.file_name, source)?;
    let body = evaluate(&file, options, &mut diagnostics);
    let tree = decode::job(&file.source, &body, &mut diagnostics);
    diagnostics.or(tree)
}

/// Evaluates a job file without knowing what its blocks mean: `{"a": attributes, "b": [[type, labels, body], …]}`,
/// each body being such a tree again, variables and locals taken out.
///
/// # Errors
/// Everything that does not evaluate.
pub fn evaluate_file(source: &str, options: &ParseOptions) -> Result<Json, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let file = parse::file(&options.file_name, source)?;
    let body = evaluate(&file, options, &mut diagnostics);
    diagnostics.or(body.to_json())
}

/// The body of a file without variables and locals.
fn evaluate(file: &File, options: &ParseOptions, diagnostics: &mut Diagnostics) -> Body {
    let environment = Environment {
        base: options.base.clone(),
    };
    let evaluator = Evaluator {
        source: &file.source,
        flush: &file.flush,
        environment: &environment,
    };
    let values = Variables::resolve(file, evaluator, options, diagnostics);
    let mut scope = Scope::new([("var".to_owned(), values)]);
    if !diagnostics.is_empty() {
        // What follows would only be consequences.
        return Body::default();
    }
    variables::locals(file, evaluator, &mut scope, diagnostics);
    if !diagnostics.is_empty() {
        return Body::default();
    }
    let is_declaration = |structure: &Structure| {
        structure
            .as_block()
            .is_some_and(|it| matches!(it.ident.as_str(), "variable" | "variables" | "locals"))
    };
    let rest = file.body.iter().filter(|structure| !is_declaration(structure));
    Expander {
        evaluator,
        diagnostics,
    }
    .structures(rest, &scope)
}
