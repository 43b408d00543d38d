//! The difference of two jobs as a tree, in the shape that Nomad's API gives it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What became of one element of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DiffType {
    /// It is in both versions, and differs.
    Edited,
    /// It is in the new version only.
    Added,
    /// It is in the old version only.
    Deleted,
    /// It is the same in both versions; shown as context.
    #[default]
    None,
}

/// What changes between two versions of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDiff {
    /// What became of the job.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// The job's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Fields that changed, by name.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub fields: Vec<FieldDiff>,
    /// Blocks that changed.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub objects: Vec<ObjectDiff>,
    /// Every group of either version, by name.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub task_groups: Vec<TaskGroupDiff>,
}

/// What changes in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroupDiff {
    /// What became of the group.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// The group's name.
    pub name: String,
    /// Fields that changed, by name.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub fields: Vec<FieldDiff>,
    /// Blocks that changed.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub objects: Vec<ObjectDiff>,
    /// Every task of either version, by name.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub tasks: Vec<TaskDiff>,
    /// What the scheduler would do, in numbers of allocations; [`annotate`](crate::annotate) fills it in.
    pub updates: Option<BTreeMap<String, u64>>,
}

/// What changes in a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDiff {
    /// What became of the task.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// The task's name.
    pub name: String,
    /// Fields that changed, by name.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub fields: Vec<FieldDiff>,
    /// Blocks that changed.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub objects: Vec<ObjectDiff>,
    /// What the change forces; [`annotate`](crate::annotate) fills it in.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub annotations: Vec<String>,
}

/// What changes in a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectDiff {
    /// What became of the block.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// The block's name, the same for all of a list.
    pub name: String,
    /// Its fields, by name; unchanged ones too in a contextual difference.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub fields: Vec<FieldDiff>,
    /// The blocks in it that changed.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub objects: Vec<Self>,
}

/// What changes in a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldDiff {
    /// What became of the field.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// The field's name; `Meta[key]` and `args[0]` in maps and lists.
    pub name: String,
    /// The old value as text; empty when there was none.
    pub old: String,
    /// The new value as text; empty when there is none.
    pub new: String,
    /// What the change forces; [`annotate`](crate::annotate) fills it in.
    #[serde(serialize_with = "or_null", deserialize_with = "or_empty")]
    pub annotations: Vec<String>,
}

impl DiffType {
    /// What became of something that the versions may or may not have.
    pub(crate) const fn of_presence<T>(old: Option<&T>, new: Option<&T>) -> Self {
        match (old, new) {
            (None, Some(_)) => Self::Added,
            (Some(_), None) => Self::Deleted,
            (Some(_), Some(_)) => Self::Edited,
            (None, None) => Self::None,
        }
    }

    /// What became of something that consists of these fields.
    pub(crate) fn of_fields(fields: &[FieldDiff]) -> Self {
        let has = |kind| fields.iter().any(|it| it.kind == kind);
        match (has(Self::Edited), has(Self::Added), has(Self::Deleted)) {
            (true, _, _) | (_, true, true) => Self::Edited,
            (_, true, false) => Self::Added,
            (_, false, true) => Self::Deleted,
            _ => Self::None,
        }
    }
}

impl FieldDiff {
    /// The difference of one field; an empty text is the same as no field.
    pub(crate) fn new(name: &str, old: &str, new: &str) -> Self {
        let kind = match (old, new) {
            _ if old == new => DiffType::None,
            ("", _) => DiffType::Added,
            (_, "") => DiffType::Deleted,
            _ => DiffType::Edited,
        };
        Self {
            kind,
            name: name.into(),
            old: old.into(),
            new: new.into(),
            annotations: Vec::new(),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (&self.name, &self.old, &self.new).cmp(&(&other.name, &other.old, &other.new))
    }
}

impl ObjectDiff {
    /// The order in which blocks of a list are shown: as the original sorts them, wherever its comparison decides.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let shape = |it: &Self| (it.kind, it.fields.len(), it.objects.len());
        let by_shape = (&self.name, shape(self)).cmp(&(&other.name, shape(other)));
        let fields = || self.fields.iter().zip(&other.fields).map(|(a, b)| a.order(b));
        let objects = || self.objects.iter().zip(&other.objects).map(|(a, b)| a.order(b));
        by_shape
            .then_with(|| fields().find(|it| it.is_ne()).unwrap_or(Ordering::Equal))
            .then_with(|| objects().find(|it| it.is_ne()).unwrap_or(Ordering::Equal))
    }
}

/// Fields in the order in which they are shown.
pub(crate) fn sort_fields(fields: &mut [FieldDiff]) {
    fields.sort_by(FieldDiff::order);
}

/// The original writes `null` for a list without elements.
fn or_null<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() {
        serializer.serialize_none()
    } else {
        list.serialize(serializer)
    }
}

fn or_empty<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
