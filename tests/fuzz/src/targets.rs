//! What is tried, and what each target promises besides coming back soon and not panicking.

use std::collections::BTreeMap;

use holdfast_coordinator_core::scheduler::constraint;
use holdfast_jobspec::{ParseOptions, Surroundings};
use holdfast_shared::model::Job;
use holdfast_shared::wire::{self, FromAgent, Presence, ToAgent};
use holdfast_template::{Data, Lookup, Options, ServiceInstance, ServiceSummary, Variable};

/// A parser, and how it is called.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of the folder with its corpus.
    pub name: &'static str,
    /// Tries one input; answers whether it was understood. Panics when a promise is broken.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that stand elsewhere in the repository.
    pub(crate) more: fn() -> Vec<Vec<u8>>,
    /// Words of its language.
    pub(crate) words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "job_file",
        run: job_file,
        more: Vec::new,
        words: &[
            "job \"a\" {\n",
            "group",
            "task",
            "dynamic \"x\" {\n",
            "for_each",
            "content {\n",
            "variable",
            "locals {\n",
            "${",
            "%{ if ",
            "%{ for ",
            "%{ endif }",
            "<<EOT\n",
            "\nEOT\n",
            "<<-EOT\n",
            "for k, v in ",
            "[*]",
            ".*.",
            "...",
            " ? ",
            " : ",
            " => ",
            "jsondecode(",
            "format(\"%s\", ",
            "regex(",
            "range(",
            "repeat",
            "cidrsubnets(",
            "1e308",
            "-9223372036854775808",
            "null",
            "true",
            "max_client_disconnect",
            "update {\n",
            "constraint {\n",
            "\"k\" = ",
            "each.value",
            "var.",
            "local.",
        ],
    },
    Target {
        name: "template",
        run: template,
        more: Vec::new,
        words: &[
            "{{ ",
            " }}",
            "{{- ",
            " -}}",
            "range ",
            "with ",
            "if ",
            "else",
            "end",
            "define \"x\"",
            "template \"x\" .",
            "nomadService \"web\"",
            "nomadVar \"a\"",
            "| toJSON",
            "| base64Encode",
            "printf \"%s\"",
            "index ",
            "$x := ",
            ".Data",
            "loop 3",
            "split \",\" ",
            "regexMatch ",
            "env \"A\"",
            "file \"/etc/passwd\"",
            "{{/* ",
            " */}}",
            "sprig_",
            "timestamp",
            "parseYAML ",
            "byKey",
        ],
    },
    Target {
        name: "wire",
        run: message,
        more: golden,
        words: &["\u{1}", "\u{0}", "\u{7f}", "\u{80}"],
    },
    Target {
        name: "constraint",
        run: constraint_of_two,
        more: Vec::new,
        words: &[
            ">= 1.2",
            "~> 1.0",
            "!= 2",
            "1.2.3-beta+x",
            "v1",
            ",",
            "0.0.0",
            "99999999999999999999",
            "(a+)+$",
            "[a-z]{1,1000}",
            "\\d",
            "(?i)",
            "a|b|c",
            "set_contains",
        ],
    },
];

fn job_file(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let options = ParseOptions::default();
    if let Ok(upgraded) = holdfast_jobspec::upgrade("", &text) {
        assert!(
            holdfast_jobspec::check_syntax("", &upgraded.text).is_ok(),
            "what is upgraded is in the language"
        );
    }
    let formatted = holdfast_hclfmt::format(&text);
    let Ok(mut job) = holdfast_jobspec::parse_job(&text, &options) else {
        return false;
    };
    assert!(
        holdfast_hclfmt::check(&formatted),
        "what is formatted stays as it is"
    );
    let again = holdfast_jobspec::parse_job(&formatted, &options);
    // Blanks in an interpolation that stays as it is written are layout, too, for the original's formatter as for ours.
    let dense = |job: &Job| serde_json::to_string(job).map(|json| json.replace(' ', "")).ok();
    assert!(
        again
            .as_ref()
            .is_ok_and(|again| *again == job || dense(again) == dense(&job)),
        "the layout means nothing"
    );
    job.canonicalize();
    let mut twice = job.clone();
    twice.canonicalize();
    assert!(twice == job, "what is canonical stays as it is");
    let _ = holdfast_jobspec::validate(&job, &Surroundings::default());
    true
}

fn template(input: &[u8]) -> bool {
    let options = Options {
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        ..Options::default()
    };
    holdfast_template::render(&String::from_utf8_lossy(input), &options, &Little).is_ok()
}

/// A little of everything.
struct Little;

impl Data for Little {
    fn services(&self) -> Option<Vec<ServiceSummary>> {
        Some(vec![ServiceSummary {
            name: "web".into(),
            tags: vec!["a".into()],
        }])
    }

    fn service(&self, _: &str) -> Option<Vec<ServiceInstance>> {
        Some(Vec::new())
    }

    fn variable(&self, _: &str) -> Lookup<Variable> {
        Lookup::Absent
    }

    fn variables(&self, _: &str) -> Option<Vec<Variable>> {
        Some(Vec::new())
    }
}

/// One of every message.
fn golden() -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let lines = include_str!("../../../shared/src/wire/golden-v1.hex").lines();
    lines
        .filter_map(|line| line.as_bytes().chunks(2).map(byte).collect())
        .collect()
}

fn message(input: &[u8]) -> bool {
    let to_agent = wire::decode::<ToAgent>(input);
    let from_agent = wire::decode::<FromAgent>(input);
    if let Ok(message) = &to_agent {
        assert!(wire::decode::<ToAgent>(&wire::encode(message)).is_ok_and(|again| again == *message));
        if let ToAgent::Assignments(set) = message {
            set.jobs.iter().for_each(|spec| drop(spec.job()));
        }
    }
    if let Ok(message) = &from_agent {
        assert!(wire::decode::<FromAgent>(&wire::encode(message)).is_ok_and(|again| again == *message));
    }
    to_agent.is_ok() || from_agent.is_ok() || wire::decode::<Presence>(input).is_ok()
}

/// Two lines: what a node has, and what is asked for.
fn constraint_of_two(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (left, right) = text.split_once('\n').unwrap_or((&text, ""));
    let operands = [
        "=",
        "!=",
        "<",
        ">=",
        "regexp",
        "version",
        "semver",
        "set_contains",
        "set_contains_any",
        "is_set",
    ];
    let mut holds = false;
    for operand in operands {
        holds |= constraint::holds(operand, Some(left), Some(right));
    }
    holds
}
