//! Vectors: recorded decisions of the original, and our own where they differ on purpose, run against this crate.
//!
//! Takes the text of a vector file, answers what became of each case. Where a case has `ours`, those keys replace the
//! ones of `expect`.

mod build;
mod check;
mod constraints;
mod deployment;
mod drain;
mod reconnect;
mod region;
mod reschedule;
mod scoring;
mod timeline;

use holdfast_shared::model::{Fingerprint, Job};
use serde_json::Value;

use crate::evaluate::change_on;
use crate::reconciler::Change;

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The code does what the case says.
    Passed,
    /// It does not.
    Failed {
        /// What it does instead.
        why: String,
    },
    /// The code has nothing to do with it.
    Skipped,
}

/// A case and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case's id.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Runs one kind of case: its input and what is expected. `None` when it is not covered.
type Handler = fn(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>>;

/// Runs every case of the file called `file_stem` (`reconnect`, `reschedule`, `constraints`, `scoring`, `drain`,
/// `deployment`); `None` when the
/// file is about something else or is no JSON.
pub fn run(file_stem: &str, json: &str) -> Option<Vec<CaseResult>> {
    let handler: Handler = match file_stem {
        "reconnect" => reconnect::run,
        "reschedule" => reschedule::run,
        "constraints" => constraints::run,
        "scoring" => scoring::run,
        "drain" => drain::run,
        "deployment" => deployment::run,
        _ => return None,
    };
    let file: Value = serde_json::from_str(json).ok()?;
    let cases = file["cases"].as_array()?;
    Some(cases.iter().map(|case| run_case(handler, case)).collect())
}

/// What a change of the job means for an allocation of `group` that runs on a node of which this is known; `None` when the
/// group is gone. Without a node, its node is gone.
pub fn change(old: &Job, new: &Job, group: &str, node: Option<&Fingerprint>) -> Option<Change> {
    let node = node.map(|it| constraints::node(it.clone()));
    Some(change_on(old, new, new.group(group)?, node.as_ref()))
}

fn run_case(handler: Handler, case: &Value) -> CaseResult {
    let id = case["id"].as_str().unwrap_or_default().to_owned();
    let mut expect = case["expect"].clone();
    if let (Some(expect), Some(ours)) = (expect.as_object_mut(), case["ours"].as_object()) {
        expect.remove("stop_any_of");
        expect.remove("live_count_after");
        expect.extend(ours.clone());
    }
    let outcome = match handler(case["kind"].as_str().unwrap_or_default(), &case["input"], &expect) {
        None => Outcome::Skipped,
        Some(Ok(())) => Outcome::Passed,
        Some(Err(why)) => Outcome::Failed { why },
    };
    CaseResult { id, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(stem: &str, json: &str) -> String {
        let results = run(stem, json).expect("the file is covered");
        assert!(!results.is_empty());
        let lines = results.into_iter().filter_map(|result| match result.outcome {
            Outcome::Passed => None,
            Outcome::Failed { why } => Some(format!("{}: {why}\n", result.id)),
            Outcome::Skipped => Some(format!("{}: skipped\n", result.id)),
        });
        lines.collect()
    }

    #[test]
    fn what_differs_from_the_vectors_is_noticed() {
        let text = include_str!("../../../../tests/vectors/reconnect.json");
        for (from, to, id) in [
            (
                "\"b\": \"n2:stop/complete\"",
                "\"b\": \"n2:run/running\"",
                "reconnect-115",
            ),
            ("\"at_s\": 10030", "\"at_s\": 10031", "reconnect-001"),
            (
                "\"category\": \"expiring\"",
                "\"category\": \"lost\"",
                "reconnect-085",
            ),
            (
                "\"keep\": \"replacement\"",
                "\"keep\": \"original\"",
                "reconnect-066",
            ),
        ] {
            let wrong = text.replace(from, to);
            assert!(wrong != text, "{from} is not in the file");
            assert!(failures("reconnect", &wrong).contains(&format!("{id}: ")), "{id}");
        }
    }

    #[test]
    fn disconnects_and_reconnects_go_as_recorded() {
        assert_eq!(
            failures(
                "reconnect",
                include_str!("../../../../tests/vectors/reconnect.json")
            ),
            ""
        );
    }

    #[test]
    fn reschedules_and_restarts_go_as_recorded() {
        assert_eq!(
            failures(
                "reschedule",
                include_str!("../../../../tests/vectors/reschedule.json")
            ),
            ""
        );
    }

    #[test]
    fn constraints_hold_as_recorded() {
        assert_eq!(
            failures(
                "constraints",
                include_str!("../../../../tests/vectors/constraints.json")
            ),
            ""
        );
    }

    #[test]
    fn nodes_drain_as_recorded() {
        assert_eq!(
            failures("drain", include_str!("../../../../tests/vectors/drain.json")),
            ""
        );
    }

    #[test]
    fn deployments_go_as_recorded() {
        assert_eq!(
            failures(
                "deployment",
                include_str!("../../../../tests/vectors/deployment.json")
            ),
            ""
        );
    }

    #[test]
    fn nodes_score_as_recorded() {
        assert_eq!(
            failures("scoring", include_str!("../../../../tests/vectors/scoring.json")),
            ""
        );
    }
}
