//! Runs the recorded cases of `plan_diff.json`: a job, a change of it, and what the original answered.
//!
//! What a running coordinator decides is given in the case (the counts of each group) or not looked at (why nothing could be
//! placed, warnings, and the cases that the original refused).

use holdfast_shared::model::{ByName, Job, PlanCounts};
use serde_json::Value;

use crate::change::{JobDiff, ObjectDiff};
use crate::{annotate, changes_allocations, diff, render};

/// The outcome of every case that needs no more than two jobs: its id, and what differs from the original. A text that is
/// no such file yields one failure, `file`.
pub fn conformance(json: &str) -> Vec<(String, Result<(), String>)> {
    let file: Value = match serde_json::from_str(json) {
        Ok(file) => file,
        Err(error) => return vec![("file".into(), Err(format!("the vectors are no JSON: {error}")))],
    };
    let Some(cases) = file["cases"].as_array() else {
        return vec![("file".into(), Err("the vectors have no cases".into()))];
    };
    let answered = cases.iter().filter(|case| is_covered(case));
    answered
        .map(|case| {
            (
                case["id"].as_str().unwrap_or("?").to_owned(),
                run(&file["base"], case),
            )
        })
        .collect()
}

/// Whether the case needs no more than two jobs; the others are refusals.
pub fn is_covered(case: &Value) -> bool {
    case.get("diff").is_some()
}

/// Runs one case; `base` is the job that runs.
///
/// # Errors
/// What differs from the original, in words.
pub fn run(base: &Value, case: &Value) -> Result<(), String> {
    let parse = |value: &Value| -> Result<Job, String> {
        serde_json::from_value(value.clone()).map_err(|error| format!("the job is none: {error}"))
    };
    let changed = changed(base, case)?;
    let updates = counts(&case["desired_updates"]);
    let mut found = diff(Some(&parse(base)?), Some(&parse(&changed)?), true);
    annotate(&mut found, &updates);
    let expected: JobDiff = serde_json::from_value(case["diff"].clone())
        .map_err(|error| format!("the expected diff is none: {error}"))?;
    let printed = case["cli"].as_str().unwrap_or_default();
    let printed = printed.split("Scheduler dry-run:").next().unwrap_or_default();
    same_text(printed, &render(&found, false))?;
    same_diff(expected, found)?;
    match case["exit_code"].as_i64() {
        Some(code) if code != i64::from(changes_allocations(&updates)) => {
            Err(format!("the exit code is not {code}"))
        }
        _ => Ok(()),
    }
}

/// The changed job of a case: `op` at `path` of the job that runs.
///
/// # Errors
/// When the case makes no sense.
pub fn changed(base: &Value, case: &Value) -> Result<Value, String> {
    let mut changed = base.clone();
    apply(&mut changed, case)?;
    Ok(changed)
}

/// Makes the changed job: `op` at `path`.
fn apply(job: &mut Value, case: &Value) -> Result<(), String> {
    let path = case["path"].as_array().ok_or("the case has no path")?;
    let (last, parents) = path.split_last().ok_or("the path is empty")?;
    let mut place = job;
    for step in parents {
        place = step_into(place, step).ok_or_else(|| format!("the job has no {step}"))?;
    }
    let value = case["value"].clone();
    match (case["op"].as_str(), place) {
        (Some("append"), place) => {
            let list = step_into(place, last).and_then(Value::as_array_mut);
            list.ok_or("there is no list to append to")?.push(value);
        }
        (Some("del"), Value::Array(list)) => {
            let at = last.as_u64().and_then(|at| usize::try_from(at).ok());
            drop(
                list.remove(
                    at.filter(|at| *at < list.len())
                        .ok_or("there is no such element")?,
                ),
            );
        }
        (Some("del"), Value::Object(fields)) => drop(fields.remove(last.as_str().unwrap_or_default())),
        (Some("set"), Value::Object(fields)) => {
            drop(fields.insert(last.as_str().unwrap_or_default().to_owned(), value));
        }
        (Some("set"), place) => *step_into(place, last).ok_or("there is no such element")? = value,
        (op, _) => return Err(format!("no operation {op:?}")),
    }
    Ok(())
}

fn step_into<'a>(place: &'a mut Value, step: &Value) -> Option<&'a mut Value> {
    match step {
        Value::String(name) => place.get_mut(name),
        step => place.get_mut(usize::try_from(step.as_u64()?).ok()?),
    }
}

fn counts(updates: &Value) -> ByName<PlanCounts> {
    let groups = updates.as_object().into_iter().flatten();
    groups
        .map(|(group, counts)| {
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            let counts = PlanCounts {
                ignore: count("Ignore"),
                place: count("Place"),
                migrate: count("Migrate"),
                stop: count("Stop"),
                in_place: count("InPlaceUpdate"),
                destructive: count("DestructiveUpdate"),
                canary: count("Canary"),
                ..PlanCounts::default()
            };
            (group.clone(), counts)
        })
        .collect()
}

/// Compares text line by line, without leading blanks. The text was asked for on its own, and has an order of its own.
fn same_text(expected: &str, found: &str) -> Result<(), String> {
    let lines = |text: &str| {
        let mut lines = text.trim_end().lines().map(str::trim_start);
        settled_lines(&mut lines)
    };
    let (expected, found) = (lines(expected), lines(found));
    if expected == found {
        return Ok(());
    }
    let differs = expected
        .lines()
        .zip(found.lines())
        .find(|(expected, found)| expected != found);
    let (expected, found) = differs.unwrap_or(("(the end)", "(the end)"));
    Err(format!("printed {found:?} instead of {expected:?}"))
}

/// Lines up to the end of the block, with neighbouring blocks of one name sorted.
fn settled_lines(lines: &mut dyn Iterator<Item = &str>) -> String {
    let mut settled = String::new();
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let flush = |settled: &mut String, blocks: &mut Vec<(&str, String)>| {
        blocks.sort();
        blocks
            .drain(..)
            .for_each(|(head, body)| *settled += &format!("{head}\n{body}"));
    };
    while let Some(line) = lines.next() {
        if line.ends_with(" {") {
            if blocks.last().is_some_and(|(head, _)| *head != line) {
                flush(&mut settled, &mut blocks);
            }
            let body = settled_lines(lines);
            blocks.push((line, body));
            continue;
        }
        flush(&mut settled, &mut blocks);
        settled += &format!("{line}\n");
        if line == "}" {
            break;
        }
    }
    flush(&mut settled, &mut blocks);
    settled
}

/// Compares two differences. The comparison by which the original sorts the blocks of a list does not decide between all
/// blocks, and then their order is chance; both sides are brought into our order.
fn same_diff(mut expected: JobDiff, mut found: JobDiff) -> Result<(), String> {
    for diff in [&mut expected, &mut found] {
        settle(&mut diff.objects);
        for group in &mut diff.task_groups {
            settle(&mut group.objects);
            group.tasks.iter_mut().for_each(|task| settle(&mut task.objects));
        }
    }
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (render(&expected, true), render(&found, true));
    let mut lines = expected.lines().zip(found.lines());
    let (expected, found) = lines
        .find(|(a, b)| a != b)
        .unwrap_or(("(same text)", "(same text)"));
    Err(format!("the diff has {found:?} instead of {expected:?}"))
}

/// Sorts the blocks of each list, that is, neighbours of one name.
fn settle(objects: &mut [ObjectDiff]) {
    objects.iter_mut().for_each(|object| settle(&mut object.objects));
    for list in objects.chunk_by_mut(|a, b| a.name == b.name) {
        list.sort_by(ObjectDiff::order);
    }
}
