//! The levels of the difference: job, groups, tasks.

use holdfast_shared::model::Job;

use crate::change::{DiffType, JobDiff, TaskDiff, TaskGroupDiff};
use crate::compare::{Versions, by_name, fields, objects};
use crate::stored::stored;
use crate::tables::job::{GROUP, JOB};
use crate::tables::task::TASK;

/// What changes from `old` to `new`; `None` is no job. With `contextual`, unchanged fields are shown in blocks that
/// changed.
///
/// Both jobs are compared in the form in which they would be stored, so that it does not matter whether they have been
/// canonicalised. A job's id is not compared: two jobs with different ids yield a difference that carries the new one.
pub fn diff(old: Option<&Job>, new: Option<&Job>, contextual: bool) -> JobDiff {
    let id = new.or(old).map(|job| job.id().to_owned()).unwrap_or_default();
    let (old, new) = (old.map(stored), new.map(stored));
    let versions = (old.as_ref(), new.as_ref());
    let mut diff = JobDiff {
        kind: DiffType::of_presence(versions.0, versions.1),
        id,
        fields: fields(&JOB, versions, contextual),
        objects: objects(JOB.parts, versions, contextual),
        task_groups: part_of(versions, "TaskGroups", |name, it| group(name, it, contextual)),
    };
    // Much of a job changes with every registration; it is edited when something is to be shown.
    let is_same = diff.fields.is_empty()
        && diff.objects.is_empty()
        && diff.task_groups.iter().all(|it| it.kind == DiffType::None);
    if diff.kind == DiffType::Edited && is_same {
        diff.kind = DiffType::None;
    }
    diff
}

fn part_of<T>((old, new): Versions<'_>, key: &str, level: impl Fn(&str, Versions<'_>) -> T) -> Vec<T> {
    let parts = (old.and_then(|it| it.get(key)), new.and_then(|it| it.get(key)));
    by_name(parts)
        .into_iter()
        .map(|(name, it)| level(name, it))
        .collect()
}

fn group(name: &str, versions: Versions<'_>, contextual: bool) -> TaskGroupDiff {
    TaskGroupDiff {
        kind: level_kind(versions),
        name: name.into(),
        fields: fields(&GROUP, versions, contextual),
        objects: objects(GROUP.parts, versions, contextual),
        tasks: part_of(versions, "Tasks", |name, it| task(name, it, contextual)),
        updates: None,
    }
}

fn task(name: &str, versions: Versions<'_>, contextual: bool) -> TaskDiff {
    TaskDiff {
        kind: level_kind(versions),
        name: name.into(),
        fields: fields(&TASK, versions, contextual),
        objects: objects(TASK.parts, versions, contextual),
        annotations: Vec::new(),
    }
}

/// Groups and tasks are edited when anything differs, shown or not.
fn level_kind(versions: Versions<'_>) -> DiffType {
    if versions.0 == versions.1 {
        DiffType::None
    } else {
        DiffType::of_presence(versions.0, versions.1)
    }
}
