//! A little of what `cargo xtask fuzz` does for as long as one likes, with every build; and size without end.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::time::{Duration, Instant};

use holdfast_fuzz::{TARGETS, Until, corpus, run};
use holdfast_jobspec::{ParseOptions, parse_job};

const INPUTS: u64 = 3_000;

/// What a refusal may take, on a busy machine and without optimisation.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn damaged_inputs_break_no_parser() {
    std::thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || {
                let outcome = run(target, corpus(target), 1, Until::Tried(INPUTS));
                if let Some((input, how)) = outcome.broken {
                    panic!("{}: {how}\n{:?}", target.name, String::from_utf8_lossy(&input));
                }
                assert!(
                    outcome.understood > INPUTS / 100,
                    "{}: {outcome:?} is no use",
                    target.name
                );
            });
        }
    });
}

#[test]
fn every_input_of_the_corpora_is_understood() {
    for target in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{}", target.name);
        for input in inputs {
            assert!(
                (target.run)(&input),
                "{}: {:?}",
                target.name,
                String::from_utf8_lossy(&input)
            );
        }
    }
}

#[test]
fn job_files_without_end_are_refused_soon() {
    let many = format!("job \"a\" {{\n{}}}\n", "  meta { a = \"b\" }\n".repeat(600_000));
    assert!(many.len() > 10 * 1024 * 1024);
    for text in [
        many,
        format!("job \"a\" {{\n{}", "group \"g\" {\n".repeat(10_000)),
        format!("a = {}", "[".repeat(10_000)),
        format!("a = {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("a = \"{}\"", "${\"".repeat(10_000)),
        format!("a = {}", "1 + ".repeat(1_000_000)),
    ] {
        let began = Instant::now();
        let result = parse_job(&text, &ParseOptions::default());
        assert!(result.is_err(), "{}…", &text[..40]);
        assert!(
            began.elapsed() < PATIENCE,
            "{}… took {:?}",
            &text[..40],
            began.elapsed()
        );
    }
}
