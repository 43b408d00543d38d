//! What a difference means for running allocations, as `job plan` says it.

use std::collections::BTreeMap;

use holdfast_shared::model::{ByName, PlanCounts};

use crate::change::{DiffType, FieldDiff, JobDiff, TaskDiff, TaskGroupDiff};

/// Fields of a task that change without a new process.
const IN_PLACE_FIELDS: &[&str] = &["KillTimeout"];

/// Blocks of a task that change without a new process.
const IN_PLACE_BLOCKS: &[&str] = &["Constraint", "Service"];

/// Writes into `diff` what the scheduler would do to each group (`updates`, by group name), and what each change of a
/// count or a task forces.
///
/// The latter is told from the difference alone and is stricter than the scheduler, which looks at what tasks really
/// depend on (`scheduling-semantics.md` section 7).
pub fn annotate(diff: &mut JobDiff, updates: &ByName<PlanCounts>) {
    for group in &mut diff.task_groups {
        group.updates = updates.get(&group.name).map(|counts| in_words(*counts));
        if let Some(count) = group.fields.iter_mut().find(|it| it.name == "Count") {
            annotate_count(count);
        }
        annotate_tasks(group);
    }
}

/// Whether a plan with these counts starts or stops allocations: exit code 1 of `job plan`, instead of 0.
pub fn changes_allocations(updates: &ByName<PlanCounts>) -> bool {
    let changed = |it: &PlanCounts| it.stop + it.place + it.migrate + it.destructive + it.canary;
    updates.values().any(|it| changed(it) > 0)
}

fn in_words(counts: PlanCounts) -> BTreeMap<String, u64> {
    let words = [
        ("canary", counts.canary),
        ("create", counts.place),
        ("create/destroy update", counts.destructive),
        ("destroy", counts.stop),
        ("ignore", counts.ignore),
        ("in-place update", counts.in_place),
        ("migrate", counts.migrate),
    ];
    words
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| (word.to_owned(), count))
        .collect()
}

fn annotate_count(count: &mut FieldDiff) {
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let (old, new) = (number(&count.old), number(&count.new));
    if old != new {
        count.annotations.push(
            if old < new {
                "forces create"
            } else {
                "forces destroy"
            }
            .into(),
        );
    }
}

fn annotate_tasks(group: &mut TaskGroupDiff) {
    let is_whole_group = matches!(group.kind, DiffType::Added | DiffType::Deleted);
    for task in &mut group.tasks {
        let forced = match task.kind {
            DiffType::None => continue,
            DiffType::Added if is_whole_group => "forces create",
            DiffType::Deleted if is_whole_group => "forces destroy",
            _ if is_in_place(task) => "forces in-place update",
            _ => "forces create/destroy update",
        };
        task.annotations.push(forced.into());
    }
}

fn is_in_place(task: &TaskDiff) -> bool {
    task.fields
        .iter()
        .all(|it| IN_PLACE_FIELDS.contains(&it.name.as_str()))
        && task
            .objects
            .iter()
            .all(|it| IN_PLACE_BLOCKS.contains(&it.name.as_str()))
}
