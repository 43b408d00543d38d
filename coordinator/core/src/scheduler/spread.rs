//! Spreading allocations over the values of a property (`scheduling-semantics.md` 2.3).

use holdfast_shared::model::{Spread, SpreadTarget};

/// One spread of a group.
#[derive(Debug, Clone, Copy)]
pub struct Spreading<'a> {
    /// The property.
    pub attribute: &'a str,
    /// Its weight among the spreads.
    pub weight: i64,
    /// The shares of values; evenly when there are none.
    pub targets: &'a [SpreadTarget],
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
            }
        })
        .collect()
}

impl Spreading<'_> {
    /// How many of `count` allocations a value should get that a target names.
    pub fn desired(&self, count: usize, value: &str) -> Option<f64> {
        let target = self.targets.iter().find(|target| target.value == value)?;
        Some(share(target, count))
    }

    /// How many of `count` allocations all other values should get together, if anything is left for them.
    pub fn remainder(&self, count: usize) -> Option<f64> {
        let sum: f64 = self.targets.iter().map(|target| share(target, count)).sum();
        (sum > 0.0 && sum < count as f64).then_some(count as f64 - sum)
    }
}

fn share(target: &SpreadTarget, count: usize) -> f64 {
    target.percent as f64 * count as f64 / 100.0
}

/// What a spread with targets says about a node. `goal` is how many allocations its value should get and how many it
/// has, `None` when no target is for it; `weight` is the spread's share of all weights so far; `lowest` is the lowest
/// contribution that any node got so far, and is kept up.
pub fn toward(goal: Option<(f64, usize)>, weight: f64, lowest: &mut f64) -> f64 {
    match goal {
        None => -1.0,
        Some((desired, _)) if desired <= 0.0 => *lowest,
        Some((desired, used)) => {
            let contribution = (desired - (used as f64 + 1.0)) / desired * weight;
            *lowest = lowest.min(contribution);
            contribution
        }
    }
}

/// The smallest and the greatest of the numbers that are not 0.
pub fn extremes(numbers: impl Iterator<Item = usize>) -> Option<(usize, usize)> {
    numbers.filter(|number| *number > 0).fold(None, |known, number| {
        let (least, most) = known.unwrap_or((number, number));
        Some((least.min(number), most.max(number)))
    })
}

/// What a spread without targets says about a node whose value is used so often; `None` is a node without the property.
pub fn even(here: Option<usize>, extremes: Option<(usize, usize)>) -> f64 {
    let Some(here) = here else { return -1.0 };
    let Some((least, most)) = extremes else { return 0.0 };
    let (here, least, most) = (here as f64, least as f64, most as f64);
    if here != least {
        (least - here) / least
    } else if least == most {
        -1.0
    } else {
        (most - least) / least
    }
}
