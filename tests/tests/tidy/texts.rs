//! Rules about the text of source files.

use super::sources::{Source, assert_none, rust};

/// Hard limit of lines per file; 500 is the aim.
const LINES_MAX: usize = 800;

/// What may not stand in a source file, and what to do instead. Written in two halves: this is a source file.
const BANNED: [(&str, &str, &str); 7] = [
    ("todo", "!(", "finish it"),
    ("unimplemented", "!(", "finish it"),
    ("dbg", "!(", "use tracing"),
    ("FIX", "ME", "fix it"),
    ("#[ign", "ore", "fix the test or remove it"),
    ("#[should", "_panic", "check the error"),
    ("allow(clippy::too_many", "_lines", "split the function"),
];

/// Longest pause between two looks at a condition, in milliseconds; anything longer is a guess about speed.
const PAUSE_MAX_MS: u64 = 100;

/// Where time is what a test is about, and why.
const MAY_PAUSE: [(&str, &str); 2] = [
    (
        "coordinator/broker/tests/broker/presence.rs",
        "clients that are silent, or slow",
    ),
    (
        "coordinator/tests/coordinator/reads.rs",
        "queries that wait before something happens",
    ),
];

/// Attributes that postcard cannot carry: it has no field names to go by.
const SERDE_BANNED: [&str; 5] = ["tag", "untagged", "flatten", "skip_serializing_if", "default"];

fn violations(found: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    rust()
        .iter()
        .flat_map(|source| {
            found(source)
                .into_iter()
                .map(|line| format!("{}:{line}", source.path))
        })
        .collect()
}

#[test]
fn files_stay_below_the_hard_limit() {
    let long = violations(|source| {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            vec![format!("{lines} lines")]
        } else {
            Vec::new()
        }
    });
    assert_none(&format!("split what is longer than {LINES_MAX} lines"), long);
}

#[test]
fn nothing_unfinished_or_switched_off_is_committed() {
    for (start, end, instead) in BANNED {
        let banned = format!("{start}{end}");
        let found = violations(|source| {
            let lines = source.lines().filter(|(_, _, line)| line.contains(&banned));
            lines
                .map(|(number, _, line)| format!("{number}: {}", line.trim()))
                .collect()
        });
        assert_none(&format!("`{banned}`: {instead}"), found);
    }
}

/// Whether a line pauses for longer than between two looks at a condition.
fn guesses_a_duration(line: &str) -> bool {
    let Some((_, argument)) = line.split_once(concat!("::sle", "ep(")) else {
        return false;
    };
    if argument.starts_with("POLL") {
        return false;
    }
    let millis = argument
        .split_once("from_millis(")
        .and_then(|(_, rest)| rest.split(')').next()?.parse::<u64>().ok());
    millis.is_none_or(|millis| millis > PAUSE_MAX_MS)
}

#[test]
fn tests_wait_on_conditions_and_never_sleep() {
    let found = violations(|source| {
        if MAY_PAUSE.iter().any(|(path, _)| *path == source.path) {
            return Vec::new();
        }
        let lines = source
            .lines()
            .filter(|(_, testing, line)| *testing && guesses_a_duration(line));
        lines
            .map(|(number, _, line)| format!("{number}: {}", line.trim()))
            .collect()
    });
    assert_none("wait on a predicate with a deadline (tests/src/wait.rs)", found);
}

#[test]
fn topics_are_written_in_one_module_only() {
    let prefix = concat!("\"edge", "/");
    let found = violations(|source| {
        if source.path == "shared/src/topics.rs" {
            return Vec::new();
        }
        let lines = source.lines().filter(|(_, _, line)| line.contains(prefix));
        lines
            .map(|(number, _, line)| format!("{number}: {}", line.trim()))
            .collect()
    });
    assert_none("use `holdfast_shared::topics`", found);
}

#[test]
fn wire_types_have_no_attribute_that_postcard_cannot_carry() {
    let found = violations(|source| {
        if !source.path.starts_with("shared/src/wire/") {
            return Vec::new();
        }
        let banned = |line: &str| {
            line.trim_start().starts_with("#[serde(")
                && SERDE_BANNED.iter().any(|word| {
                    line.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .any(|w| w == *word)
                })
        };
        let lines = source.lines().filter(|(_, _, line)| banned(line));
        lines
            .map(|(number, _, line)| format!("{number}: {}", line.trim()))
            .collect()
    });
    assert_none(
        "postcard cannot skip, tag or default (ARCHITECTURE.md, wire)",
        found,
    );
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let found = violations(|source| {
        // The test module of the code beside it needs no introduction.
        if source.path.ends_with("/tests.rs") || source.path.contains("/src/tests/") {
            return Vec::new();
        }
        // Attributes and a script line may come first.
        let first = source
            .text
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with("#![") && !line.starts_with("#!"));
        if first.is_some_and(|line| line.starts_with("//!")) {
            Vec::new()
        } else {
            vec!["1: no `//!`".to_owned()]
        }
    });
    assert_none("say what the module owns and what it does not know", found);
}
