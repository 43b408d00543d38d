//! Rendering: run, collect what was asked for, look it up, run again until nothing new is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::parse::Parser;
use gotmpl::{Template, Value};

use crate::data::{Data, Lookup, Want};
use crate::error::TemplateError;
use crate::{functions, source};

/// How to read a template and what it may see.
#[derive(Debug, Clone)]
pub struct Options {
    /// Left delimiter, normally `{{`.
    pub left: String,
    /// Right delimiter, normally `}}`.
    pub right: String,
    /// Whether a missing key of a map is an error.
    pub error_on_missing_key: bool,
    /// What `env` reads: the task's environment.
    pub env: BTreeMap<String, String>,
    /// The folder that `file` may read from; without one it reads nothing.
    pub sandbox: Option<PathBuf>,
    /// What `timestamp` says, in milliseconds since 1970.
    pub now_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            left: "{{".to_owned(),
            right: "}}".to_owned(),
            error_on_missing_key: false,
            env: BTreeMap::new(),
            sandbox: None,
            now_ms: 0,
        }
    }
}

/// A rendered template, or what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text. Not to be used while something is missing.
    pub text: String,
    /// Everything it asked for: when one of these changes, render again.
    pub wants: BTreeSet<Want>,
    /// What of that is not there yet. Not empty: the template waits.
    pub missing: BTreeSet<Want>,
}

/// Renders a template.
///
/// # Errors
/// Syntax errors always; errors of execution unless something is still missing, because they may come from that.
pub fn render(source: &str, options: &Options, data: &dyn Data) -> Result<Rendered, TemplateError> {
    let mut answers = BTreeMap::new();
    loop {
        let run = Arc::new(Run::new(options, std::mem::take(&mut answers)));
        let outcome = execute(source, options, &run);
        let wants = run.take_wants();
        answers = run.take_answers();
        let unanswered: Vec<Want> = wants
            .iter()
            .filter(|want| !answers.contains_key(*want))
            .cloned()
            .collect();
        if unanswered.is_empty() {
            let is_missing = |want: &&Want| matches!(answers[*want], Answer::Missing);
            let missing: BTreeSet<Want> = wants.iter().filter(is_missing).cloned().collect();
            let text = if missing.is_empty() {
                outcome?
            } else {
                outcome.unwrap_or_default()
            };
            return Ok(Rendered { text, wants, missing });
        }
        if let Err(error @ (TemplateError::Syntax { .. } | TemplateError::UnknownFunction { .. })) = outcome {
            return Err(error);
        }
        answers.extend(unanswered.into_iter().map(|want| {
            let answer = Answer::look_up(&want, data);
            (want, answer)
        }));
    }
}

/// What the main template is called; no `define` can be.
const MAIN: &str = "\0main";

fn execute(source: &str, options: &Options, run: &Arc<Run>) -> Result<String, TemplateError> {
    let repaired = source::repair_comments(source, &options.left, &options.right);
    let library = functions::library(run);
    let parsed = Parser::with_name(None, &repaired, &options.left, &options.right).and_then(Parser::parse);
    let (main, defines) = parsed.map_err(source::error)?;
    let adapt = |tree| source::adapt(tree, &library);
    let mut template = Template::new(MAIN).add_parse_tree(MAIN, adapt(main)?);
    for define in defines {
        template = template.add_parse_tree(define.name.as_str(), adapt(define.body)?);
    }
    template
        .funcs(library)
        .execute_template_to_string(MAIN, &Value::Nil)
        .map_err(source::error)
}

/// What was answered to a [`Want`], already as a template value.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Not there yet, or absent.
    Missing,
    /// Known not to exist, where that is an answer.
    Absent,
    /// There.
    Value(Value),
}

impl Answer {
    fn look_up(want: &Want, data: &dyn Data) -> Self {
        let list = |found: Option<Value>| found.map_or(Self::Missing, Self::Value);
        match want {
            Want::Services => list(data.services().map(functions::services::summaries)),
            Want::Service(name) => list(data.service(name).map(functions::services::instances)),
            Want::Variables(prefix) => list(data.variables(prefix).map(functions::variables::listing)),
            Want::Variable(path) => match data.variable(path) {
                Lookup::NotYet => Self::Missing,
                Lookup::Absent => Self::Absent,
                Lookup::Known(variable) => Self::Value(functions::variables::items(&variable)),
            },
        }
    }
}

/// What the functions of one execution share.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) sandbox: Option<PathBuf>,
    pub(crate) now_ms: i64,
    pub(crate) error_on_missing_key: bool,
    state: Mutex<RunState>,
}

#[derive(Debug, Default)]
struct RunState {
    wants: BTreeSet<Want>,
    answers: BTreeMap<Want, Answer>,
    scratch: BTreeMap<String, Value>,
}

impl Run {
    fn new(options: &Options, answers: BTreeMap<Want, Answer>) -> Self {
        Self {
            env: options.env.clone(),
            sandbox: options.sandbox.clone(),
            now_ms: options.now_ms,
            error_on_missing_key: options.error_on_missing_key,
            state: Mutex::new(RunState {
                answers,
                ..RunState::default()
            }),
        }
    }

    /// Asks for something; `Missing` also means that it has not been looked up yet.
    pub(crate) fn ask(&self, want: Want) -> Answer {
        self.with(|state| {
            let answer = state.answers.get(&want).cloned().unwrap_or(Answer::Missing);
            state.wants.insert(want);
            answer
        })
    }

    /// The template's scratch pad.
    pub(crate) fn with_scratch<T>(&self, use_it: impl FnOnce(&mut BTreeMap<String, Value>) -> T) -> T {
        self.with(|state| use_it(&mut state.scratch))
    }

    /// Whether a map is the items of a variable, by where it lies: the engine has no types of our own.
    pub(crate) fn is_variable(&self, map: &Arc<BTreeMap<Arc<str>, Value>>) -> bool {
        self.with(|state| {
            state.answers.iter().any(|(want, answer)| match (want, answer) {
                (Want::Variable(_), Answer::Value(Value::Map(items))) => Arc::ptr_eq(items, map),
                _ => false,
            })
        })
    }

    fn take_wants(&self) -> BTreeSet<Want> {
        self.with(|state| std::mem::take(&mut state.wants))
    }

    fn take_answers(&self) -> BTreeMap<Want, Answer> {
        self.with(|state| std::mem::take(&mut state.answers))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut RunState) -> T) -> T {
        // A function that panicked leaves nothing half-done in here.
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
