//! A difference as text: what `job plan` prints first, and `job history -p` after each version.

use crate::change::{DiffType, FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};
use crate::quote::quoted;

/// `diff` as text, with a line feed at the end of every line. Of groups and tasks that are new or gone only the name is
/// told, unless `verbose`.
pub fn render(diff: &JobDiff, verbose: bool) -> String {
    let mut text = Text {
        lines: String::new(),
        verbose,
    };
    text.job(diff);
    text.lines
}

/// What stands before something of this kind; the text after it is aligned.
const fn marker(kind: DiffType) -> &'static str {
    match kind {
        DiffType::Edited => "+/- ",
        DiffType::Added => "+ ",
        DiffType::Deleted => "- ",
        DiffType::None => "",
    }
}

/// The columns that fields and blocks of one level have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    marker: usize,
    name: usize,
}

impl Columns {
    fn of(fields: &[FieldDiff], objects: &[ObjectDiff]) -> Self {
        let kinds = fields
            .iter()
            .map(|it| it.kind)
            .chain(objects.iter().map(|it| it.kind));
        Self {
            name: fields.iter().map(|it| it.name.len()).max().unwrap_or(0),
            ..Self::default()
        }
        .beside(kinds)
    }

    fn beside(self, kinds: impl Iterator<Item = DiffType>) -> Self {
        let widest = kinds.map(|it| marker(it).len()).max().unwrap_or(0);
        Self {
            marker: self.marker.max(widest),
            ..self
        }
    }

    /// Blanks between the marker and the name.
    fn after_marker(self, kind: DiffType) -> usize {
        self.marker - marker(kind).len()
    }
}

struct Text {
    lines: String,
    verbose: bool,
}

impl Text {
    fn line(&mut self, indent: usize, kind: DiffType, gap: usize, rest: &str) {
        self.lines += &format!("{:indent$}{}{:gap$}{rest}\n", "", marker(kind), "");
    }

    /// Whether more than the name is told.
    fn shows(&self, kind: DiffType) -> bool {
        kind == DiffType::Edited || self.verbose
    }

    fn job(&mut self, job: &JobDiff) {
        self.line(0, job.kind, 0, &format!("Job: {}", quoted(&job.id)));
        let columns = Columns::of(&job.fields, &job.objects).beside(job.task_groups.iter().map(|it| it.kind));
        if self.shows(job.kind) {
            self.contents(0, columns, &job.fields, &job.objects);
        }
        for group in &job.task_groups {
            self.group(group, columns.after_marker(group.kind));
        }
    }

    fn group(&mut self, group: &TaskGroupDiff, gap: usize) {
        let updates = group
            .updates
            .iter()
            .flatten()
            .map(|(word, count)| format!("{count} {word}"));
        let updates = in_parentheses(&updates.collect::<Vec<_>>());
        self.line(
            0,
            group.kind,
            gap,
            &format!("Task Group: {}{updates}", quoted(&group.name)),
        );
        let indent = gap + 2;
        let columns = Columns::of(&group.fields, &group.objects).beside(group.tasks.iter().map(|it| it.kind));
        if self.shows(group.kind) {
            self.contents(indent, columns, &group.fields, &group.objects);
        }
        for task in &group.tasks {
            self.task(task, indent, columns.after_marker(task.kind));
        }
        self.lines.push('\n');
    }

    fn task(&mut self, task: &TaskDiff, indent: usize, gap: usize) {
        let annotations = in_parentheses(&task.annotations);
        self.line(
            indent,
            task.kind,
            gap,
            &format!("Task: {}{annotations}", quoted(&task.name)),
        );
        if task.kind == DiffType::None || !self.shows(task.kind) {
            return;
        }
        if task.fields.is_empty() && task.objects.is_empty() {
            self.lines.push('\n');
        }
        self.contents(
            indent + 2,
            Columns::of(&task.fields, &task.objects),
            &task.fields,
            &task.objects,
        );
    }

    fn contents(&mut self, indent: usize, columns: Columns, fields: &[FieldDiff], objects: &[ObjectDiff]) {
        for field in fields {
            let value = match field.kind {
                DiffType::Deleted => quoted(&field.old),
                DiffType::Edited => format!("{} => {}", quoted(&field.old), quoted(&field.new)),
                DiffType::Added | DiffType::None => quoted(&field.new),
            };
            let width = columns.name - field.name.len();
            let annotations = in_parentheses(&field.annotations);
            let rest = format!("{}: {:width$}{value}{annotations}", field.name, "");
            self.line(indent, field.kind, columns.after_marker(field.kind), &rest);
        }
        for object in objects {
            self.object(object, indent, columns.after_marker(object.kind));
        }
    }

    fn object(&mut self, object: &ObjectDiff, indent: usize, gap: usize) {
        self.line(indent, object.kind, gap, &format!("{} {{", object.name));
        if object.fields.is_empty() && object.objects.is_empty() {
            self.lines.push('\n');
        }
        let columns = Columns::of(&object.fields, &object.objects);
        self.contents(indent + gap + 2, columns, &object.fields, &object.objects);
        self.line(indent + marker(object.kind).len(), DiffType::None, gap, "}");
    }
}

fn in_parentheses(words: &[String]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}
