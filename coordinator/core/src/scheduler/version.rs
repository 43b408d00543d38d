//! Version constraints, twice: `version` is lenient and knows `~>`, `semver` is strict SemVer 2.0.

use std::cmp::Ordering;

use semver::Prerelease;

/// A version as the lenient syntax reads it: any number of segments, an optional prerelease, build data ignored.
#[derive(Debug, Clone)]
struct Version {
    /// At least three.
    segments: Vec<u64>,
    /// How many of them were written.
    written: usize,
    prerelease: Prerelease,
}

/// A list of constraints with commas, of which all must hold.
#[derive(Debug)]
pub(super) struct Clauses {
    /// `None` when one of them is no constraint: nothing satisfies them.
    list: Option<Vec<(&'static str, Version)>>,
    strict: bool,
}

impl Clauses {
    /// By the lenient syntax. A prerelease satisfies no constraint without one (but `!=` and exact `=`), and one with
    /// equal numbers otherwise.
    pub(super) fn lenient(text: &str) -> Self {
        let clause = |text: &str| {
            let (operator, text) = split_operator(text.trim(), &["~>", ">=", "<=", "!=", "=", ">", "<"]);
            Some((operator, Version::parse(text.trim())?))
        };
        Self {
            list: text.split(',').map(clause).collect(),
            strict: false,
        }
    }

    /// By the rules of SemVer 2.0.
    pub(super) fn strict(text: &str) -> Self {
        let clause = |text: &str| {
            let (operator, text) = split_operator(text.trim(), &[">=", "<=", "!=", "=", ">", "<"]);
            Some((operator, Version::parse_strict(text.trim())?))
        };
        Self {
            list: text.split(',').map(clause).collect(),
            strict: true,
        }
    }

    /// Whether `version` satisfies all of them.
    pub(super) fn accept(&self, version: &str) -> bool {
        let version = if self.strict {
            Version::parse(version.strip_prefix('v').unwrap_or(version))
        } else {
            Version::parse(version.trim())
        };
        let (Some(version), Some(list)) = (version, &self.list) else {
            return false;
        };
        list.iter().all(|(operator, wanted)| {
            if self.strict {
                accepts(operator, version.compare(wanted))
            } else {
                version.satisfies(operator, wanted)
            }
        })
    }
}

fn split_operator<'a>(text: &'a str, operators: &[&'static str]) -> (&'static str, &'a str) {
    operators
        .iter()
        .find_map(|operator| text.strip_prefix(operator).map(|rest| (*operator, rest)))
        .unwrap_or(("=", text))
}

fn accepts(operator: &str, order: Ordering) -> bool {
    match operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        ">=" => order.is_ge(),
        "<=" => order.is_le(),
        _ => false,
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, rest) = text.split_at(digits);
        let prerelease = rest.strip_prefix('-').unwrap_or(rest);
        let mut segments = numbers
            .trim_end_matches('.')
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let written = segments.len();
        segments.resize(written.max(3), 0);
        Some(Self {
            segments,
            written,
            prerelease: Prerelease::new(prerelease).ok()?,
        })
    }

    /// Without the leniency of a prerelease that no dash introduces.
    fn parse_strict(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let rest = numbers.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        Self::parse(text).filter(|_| rest.is_empty() || rest.starts_with(['-', '+']))
    }

    fn satisfies(&self, operator: &str, wanted: &Self) -> bool {
        let order = self.compare(wanted);
        match operator {
            "=" | "!=" => accepts(operator, order),
            "~>" => self.prerelease_allowed(wanted) && order.is_ge() && self.within(wanted),
            _ => self.prerelease_allowed(wanted) && accepts(operator, order),
        }
    }

    /// Whether a constraint on `wanted` may be asked of this version at all, as far as prereleases go.
    fn prerelease_allowed(&self, wanted: &Self) -> bool {
        match (self.prerelease.is_empty(), wanted.prerelease.is_empty()) {
            (true, _) => true,
            (false, true) => false,
            (false, false) => self.compare_segments(wanted).is_eq(),
        }
    }

    /// Whether only the last written segment of `wanted`, or what follows it, has grown.
    fn within(&self, wanted: &Self) -> bool {
        let fixed = wanted.written.saturating_sub(1);
        let prefix = |version: &Self| version.segments.get(..fixed).map(<[u64]>::to_vec);
        prefix(self) == prefix(wanted)
    }

    fn compare_segments(&self, other: &Self) -> Ordering {
        let len = self.segments.len().max(other.segments.len());
        let padded = |version: &Self| {
            let mut segments = version.segments.clone();
            segments.resize(len, 0);
            segments
        };
        padded(self).cmp(&padded(other))
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.compare_segments(other)
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}
