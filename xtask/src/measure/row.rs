//! One figure beside its target and the best peer's, and the table of all of them.

use serde_json::{Value, json};

/// A measured figure.
#[derive(Debug)]
pub(crate) struct Row {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// In which all values are.
    pub(crate) unit: &'static str,
    /// What was measured.
    pub(crate) ours: f64,
    /// The most that it may be.
    pub(crate) target: f64,
    /// The best peer's figure and its name, where there is one.
    pub(crate) peer: Option<(f64, &'static str)>,
    /// How it was measured, and what else was seen.
    pub(crate) note: String,
}

impl Row {
    /// Whether the target is met.
    pub(crate) fn is_met(&self) -> bool {
        self.ours <= self.target
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "met" } else { "missed" }
    }

    /// Ours as a multiple of the target; nothing for a target of nothing.
    fn ratio(&self) -> Option<f64> {
        (self.target > 0.0).then(|| self.ours / self.target)
    }

    /// The figure in one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {} {} ({}; target {}): {}",
            self.title,
            shown(self.ours),
            self.unit,
            self.verdict(),
            shown(self.target),
            self.note
        )
    }

    /// The figure for programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "ours": self.ours,
            "target": self.target,
            "ratio": self.ratio(),
            "peer": self.peer.map(|(value, _)| value),
            "peer_name": self.peer.map(|(_, name)| name),
            "met": self.is_met(),
            "note": self.note,
        })
    }

    fn cells(&self) -> [String; 7] {
        let peer = |(value, name): (f64, &str)| format!("{} {name}", shown(value));
        [
            self.title.to_owned(),
            format!("{} {}", shown(self.ours), self.unit),
            self.peer.map_or_else(|| "-".to_owned(), peer),
            shown(self.target),
            self.ratio()
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            self.verdict().to_owned(),
            self.note.clone(),
        ]
    }
}

/// All figures as a table of Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let heading = [
        "figure",
        "ours",
        "best peer",
        "target",
        "ours/target",
        "verdict",
        "how",
    ];
    laid_out(heading, rows.iter().map(Row::cells))
}

/// Cells under their heading as a table of Markdown; the last column is as wide as it likes.
pub(crate) fn laid_out<const N: usize>(
    heading: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![heading.map(str::to_owned)];
    lines.push(std::array::from_fn(|_| "---".to_owned()));
    lines.extend(rows);
    let width = |column: usize| {
        lines
            .iter()
            .map(|cells| cells[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N - 1).map(width).collect();
    lines
        .iter()
        .map(|cells| {
            let (note, padded) = cells.split_last().expect("a row has cells");
            let padded: String = padded
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("| {cell:<width$} "))
                .collect();
            format!("{padded}| {note} |")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// With as many digits as mean something.
pub(crate) fn shown(value: f64) -> String {
    let digits = match value.abs() {
        it if it == 0.0 || it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        it if it >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Smallest and largest, for the note.
pub(crate) fn range(values: &[f64]) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    format!("{}–{}", shown(smallest), shown(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, target: f64) -> Row {
        Row {
            name: "x",
            title: "an x",
            unit: "s",
            ours,
            target,
            peer: Some((3.0, "Nomad")),
            note: "so".into(),
        }
    }

    #[test]
    fn a_target_is_met_up_to_its_very_value() {
        assert!(row(0.3, 0.3).is_met() && row(0.0, 0.0).is_met());
        assert!(!row(0.301, 0.3).is_met() && !row(1.0, 0.0).is_met());
    }

    #[test]
    fn the_table_has_a_line_for_each_figure_and_shows_what_is_compared() {
        let text = table(&[row(0.15, 0.3), row(12.34, 0.0)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[2].contains("0.150 s") && lines[2].contains("3.00 Nomad") && lines[2].contains("0.50"),
            "{text}"
        );
        assert!(
            lines[3].contains("12.3 s") && lines[3].contains("missed"),
            "{text}"
        );
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(range(&[3.0, 1.0]), "1.00–3.00");
    }
}
