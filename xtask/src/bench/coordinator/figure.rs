//! One figure beside its target and the original's.

use serde_json::{Value, json};

use crate::measure::row::{laid_out, shown};

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
    /// It is only shown.
    None,
}

/// A measured figure.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) ours: f64,
    /// What the original has, where that is known.
    pub(super) original: Option<f64>,
    pub(super) target: Target,
    /// How it was measured, and what else was seen.
    pub(super) note: String,
}

impl Figure {
    /// Whether the target is met, if there is one.
    pub(super) fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtLeast(value) => Some(self.ours >= value),
            Target::AtMost(value) => Some(self.ours <= value),
            Target::None => None,
        }
    }

    /// How many times better than the original, else than the target: above 1 is better.
    fn ratio(&self) -> Option<f64> {
        match (self.original, self.target) {
            (Some(original), Target::AtLeast(_)) => Some(self.ours / original),
            // What is only shown beside the original's is a time.
            (Some(original), _) => Some(original / self.ours),
            (None, Target::AtLeast(value)) => Some(self.ours / value),
            (None, Target::AtMost(value)) => Some(value / self.ours),
            (None, Target::None) => None,
        }
    }

    /// The figure in one line.
    pub(super) fn line(&self) -> String {
        let (title, unit, note) = (&self.title, self.unit, &self.note);
        format!(
            "{title}: {} {unit} ({}): {note}",
            shown(self.ours),
            self.verdict()
        )
    }

    /// The figure for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "title": self.title,
            "unit": self.unit,
            "ours": self.ours,
            "original": self.original,
            "target": match self.target {
                Target::AtLeast(value) | Target::AtMost(value) => Some(value),
                Target::None => None,
            },
            "ratio": self.ratio(),
            "met": self.is_met(),
            "note": self.note,
        })
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "-",
        }
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
        [
            self.title.clone(),
            format!("{} {}", shown(self.ours), self.unit),
            or_dash(self.original),
            match self.target {
                Target::AtLeast(value) => format!("≥ {}", shown(value)),
                Target::AtMost(value) => format!("≤ {}", shown(value)),
                Target::None => "-".to_owned(),
            },
            or_dash(self.ratio()),
            self.verdict().to_owned(),
            self.note.clone(),
        ]
    }
}

/// All figures as a table of Markdown.
pub(super) fn table(figures: &[Figure]) -> String {
    let heading = [
        "figure",
        "ours",
        "the original",
        "target",
        "times better",
        "verdict",
        "how",
    ];
    laid_out(heading, figures.iter().map(Figure::cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ours: f64, original: Option<f64>, target: Target) -> Figure {
        Figure {
            title: "jobs".into(),
            unit: "/s",
            ours,
            original,
            target,
            note: "so".into(),
        }
    }

    #[test]
    fn rates_are_to_be_high_and_costs_low() {
        let rate = |ours| figure(ours, Some(233.0), Target::AtLeast(1165.0));
        assert_eq!(
            (rate(1165.0).is_met(), rate(1164.0).is_met()),
            (Some(true), Some(false))
        );
        assert_eq!(rate(466.0).ratio(), Some(2.0));
        let cost = |ours| figure(ours, None, Target::AtMost(8.0));
        assert_eq!(
            (cost(8.0).is_met(), cost(8.1).is_met()),
            (Some(true), Some(false))
        );
        assert_eq!(cost(4.0).ratio(), Some(2.0));
        assert_eq!(figure(1.0, None, Target::None).is_met(), None);
    }

    #[test]
    fn the_table_shows_what_is_compared() {
        let text = table(&[figure(466.0, Some(233.0), Target::AtLeast(1165.0))]);
        let line = text.lines().nth(2).unwrap();
        for part in ["466 /s", "233", "≥ 1165", "2.00", "missed"] {
            assert!(line.contains(part), "{part}: {text}");
        }
    }
}
