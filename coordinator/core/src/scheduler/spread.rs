//! Spreading allocations over the values of a property (`scheduling-semantics.md` 2.3).

use std::collections::BTreeMap;

use holdfast_shared::model::{Spread, SpreadTarget};

/// One spread of a group, and how it stands.
#[derive(Debug, Clone)]
pub struct Spreading<'a> {
    /// The property.
    pub attribute: &'a str,
    /// Its weight among the spreads.
    pub weight: i64,
    /// The shares of values; evenly when there are none.
    pub targets: &'a [SpreadTarget],
    /// How many allocations use each value.
    pub used: BTreeMap<String, usize>,
}

/// The spreads that count for a group: its own and its job's. Where both name one property, the job's targets count
/// both times.
pub fn spreads_of<'a>(job: &'a [Spread], group: &'a [Spread]) -> Vec<Spreading<'a>> {
    group
        .iter()
        .chain(job)
        .map(|spread| {
            let decisive = job
                .iter()
                .find(|it| it.attribute == spread.attribute)
                .unwrap_or(spread);
            Spreading {
                attribute: &spread.attribute,
                weight: spread.weight.unwrap_or(50),
                targets: decisive.targets.as_deref().unwrap_or_default(),
                used: BTreeMap::new(),
            }
        })
        .collect()
}

/// The sum of what all spreads say about a node. `value` answers the node's value of a property; `weights` is the sum of
/// all weights so far; `lowest` is the lowest contribution that any node got so far, and is kept up.
pub fn score(
    spreads: &[Spreading<'_>],
    count: usize,
    weights: i64,
    lowest: &mut f64,
    value: impl Fn(&str) -> Option<String>,
) -> f64 {
    let mut total = 0.0;
    for spread in spreads {
        let value = value(spread.attribute);
        if spread.targets.is_empty() {
            total += even(&spread.used, value.as_deref());
            continue;
        }
        let weight = spread.weight as f64 / weights.max(1) as f64;
        total += match value.and_then(|value| share(spread, count, &value)) {
            None => -1.0,
            Some((desired, _)) if desired <= 0.0 => *lowest,
            Some((desired, used)) => {
                let contribution = (desired - (used as f64 + 1.0)) / desired * weight;
                *lowest = lowest.min(contribution);
                contribution
            }
        };
    }
    total
}

/// How many allocations the value should get, and how many it has. Values that no target names share what is left.
fn share(spread: &Spreading<'_>, count: usize, value: &str) -> Option<(f64, usize)> {
    let desired = |target: &SpreadTarget| target.percent as f64 * count as f64 / 100.0;
    if let Some(target) = spread.targets.iter().find(|target| target.value == value) {
        return Some((desired(target), spread.used.get(value).copied().unwrap_or(0)));
    }
    let sum: f64 = spread.targets.iter().map(desired).sum();
    let named = |value: &String| spread.targets.iter().any(|target| target.value == *value);
    let used = spread
        .used
        .iter()
        .filter(|(value, _)| !named(value))
        .map(|(_, number)| number)
        .sum();
    (sum > 0.0 && sum < count as f64).then_some((count as f64 - sum, used))
}

/// The score of a node when allocations are spread evenly.
pub fn even(used: &BTreeMap<String, usize>, value: Option<&str>) -> f64 {
    let Some(value) = value else { return -1.0 };
    let numbers = || used.values().copied().filter(|number| *number > 0);
    let (Some(least), Some(most)) = (numbers().min(), numbers().max()) else {
        return 0.0;
    };
    let (here, least, most) = (
        used.get(value).copied().unwrap_or(0) as f64,
        least as f64,
        most as f64,
    );
    if here != least {
        (least - here) / least
    } else if least == most {
        -1.0
    } else {
        (most - least) / least
    }
}
