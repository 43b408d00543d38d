//! Which element of the old list is which of the new one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::compare::Versions;
use crate::shape::Pairing;

/// Every element of both lists once, with its counterpart if it has one.
pub(crate) fn pairs<'a>(pairing: Pairing, old: &[&'a Value], new: &[&'a Value]) -> Vec<Versions<'a>> {
    match pairing {
        Pairing::Equal => by_key(old, new, |it| it.to_string()),
        Pairing::Fields(names) => by_key(old, new, |it| key(it, names)),
        Pairing::Position => {
            let length = old.len().max(new.len());
            (0..length)
                .map(|at| (old.get(at).copied(), new.get(at).copied()))
                .collect()
        }
        Pairing::OnlyOrField(_) | Pairing::Likeness if old.len() == 1 && new.len() == 1 => {
            vec![(Some(old[0]), Some(new[0]))]
        }
        Pairing::OnlyOrField(name) => by_match(old, new, |(_, old), (_, new)| {
            usize::from(old.get(name) == new.get(name))
        }),
        Pairing::Likeness => by_match(old, new, likeness),
    }
}

fn key(element: &Value, names: &[&str]) -> String {
    let values: Vec<String> = names.iter().map(|name| element[*name].to_string()).collect();
    values.join("/")
}

/// Of elements with the same key the last counts.
fn by_key<'a>(old: &[&'a Value], new: &[&'a Value], key: impl Fn(&Value) -> String) -> Vec<Versions<'a>> {
    let mut found: BTreeMap<String, Versions<'a>> = BTreeMap::new();
    for element in old {
        found.entry(key(element)).or_default().0 = Some(element);
    }
    for element in new {
        found.entry(key(element)).or_default().1 = Some(element);
    }
    found.into_values().collect()
}

/// Gives each old element the first of the new ones that are left and match it best; 0 is no match.
fn by_match<'a>(
    old: &[&'a Value],
    new: &[&'a Value],
    quality: impl Fn((usize, &Value), (usize, &Value)) -> usize,
) -> Vec<Versions<'a>> {
    let mut left: BTreeMap<usize, &'a Value> = new.iter().copied().enumerate().collect();
    let mut pairs = Vec::new();
    for (at, element) in old.iter().enumerate() {
        let qualities = left
            .iter()
            .map(|(&other, it)| (quality((at, element), (other, it)), other));
        let best = qualities
            .filter(|it| it.0 > 0)
            .max_by_key(|&(quality, other)| (quality, usize::MAX - other));
        pairs.push((Some(*element), best.and_then(|(_, other)| left.remove(&other))));
    }
    pairs.extend(left.into_values().map(|it| (None, Some(it))));
    pairs
}

/// Services have no stable name. Name counts most, then the port, then the place in the list, which alone is no match;
/// neither is the port alone.
fn likeness((at, old): (usize, &Value), (other, new): (usize, &Value)) -> usize {
    let same = |name: &str| old.get(name) == new.get(name);
    let score = usize::from(at == other) + 2 * usize::from(same("PortLabel")) + 3 * usize::from(same("Name"));
    if score > 2 { score } else { 0 }
}
