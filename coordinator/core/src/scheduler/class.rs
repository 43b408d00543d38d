//! Computed node classes: nodes that no requirement of a job can tell apart, but for what is called `unique`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use holdfast_shared::model::{Drivers, Fingerprint};

/// The class of each row of the fleet. Numbers of classes that nobody is in are given out again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classes {
    of_row: Vec<u32>,
    list: Vec<Class>,
    by_key: BTreeMap<u128, u32>,
    free: Vec<u32>,
    /// Names of operators' classes.
    labels: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Class {
    key: u128,
    members: usize,
    label: u32,
    /// The same on all of its nodes, as far as jobs see them.
    drivers: Drivers,
}

/// Row that is in no class.
const NONE: u32 = u32::MAX;

impl Classes {
    /// The class of a row.
    pub(crate) fn of(&self, row: u32) -> u32 {
        self.of_row[row as usize]
    }

    /// Numbers of classes are below this.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of the operator's class of a computed class; see [`Classes::label`].
    pub(crate) fn label_of(&self, class: u32) -> u32 {
        self.list[class as usize].label
    }

    /// The drivers of a computed class.
    pub(crate) fn drivers(&self, class: u32) -> &Drivers {
        &self.list[class as usize].drivers
    }

    /// The name of an operator's class.
    pub(crate) fn label(&self, label: u32) -> &Arc<str> {
        &self.labels[label as usize]
    }

    /// Puts a row into the class of its node; `None` takes it out.
    pub(super) fn put(&mut self, row: u32, print: Option<&Fingerprint>) {
        let row = row as usize;
        if self.of_row.len() <= row {
            self.of_row.resize(row + 1, NONE);
        }
        let new = print.map_or(NONE, |print| self.join(print));
        let old = std::mem::replace(&mut self.of_row[row], new);
        if old != NONE {
            let class = &mut self.list[old as usize];
            class.members -= 1;
            if class.members == 0 {
                self.by_key.remove(&class.key);
                self.free.push(old);
            }
        }
    }

    fn join(&mut self, print: &Fingerprint) -> u32 {
        let key = key(print);
        if let Some(class) = self.by_key.get(&key) {
            self.list[*class as usize].members += 1;
            return *class;
        }
        let known = self.labels.iter().position(|label| **label == *print.node_class);
        let label = known.unwrap_or_else(|| {
            self.labels.push(print.node_class.as_str().into());
            self.labels.len() - 1
        });
        let class = Class {
            key,
            members: 1,
            label: label as u32,
            drivers: Drivers::clone(&print.drivers),
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.list[number as usize] = class;
                number
            }
            None => {
                self.list.push(class);
                self.list.len() as u32 - 1
            }
        };
        self.by_key.insert(key, number);
        number
    }
}

/// What distinguishes classes, in 128 bits. Two halves of a keyed hash: no two classes of a fleet share it by accident.
fn key(print: &Fingerprint) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        (&print.datacenter, &print.node_pool, &print.node_class).hash(&mut hasher);
        for texts in [&print.attributes, &print.meta] {
            for (name, value) in texts.iter().filter(|(name, _)| !name.starts_with("unique.")) {
                (name, value).hash(&mut hasher);
            }
            salt.hash(&mut hasher);
        }
        for (name, driver) in print.drivers.iter() {
            (name, driver.detected, driver.healthy).hash(&mut hasher);
        }
        for (name, volume) in &print.host_volumes {
            (name, volume.read_only).hash(&mut hasher);
        }
        for name in print.host_networks.keys() {
            name.hash(&mut hasher);
        }
        for device in &print.devices {
            let healthy = device.instances.iter().filter(|it| it.healthy).count();
            (device.id(), &device.attributes, healthy).hash(&mut hasher);
        }
        hasher.finish()
    };
    u128::from(half(1)) << 64 | u128::from(half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(rack: &str, unique: &str) -> Fingerprint {
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Fingerprint {
            meta: [text("rack", rack), text("unique.name", unique)].into(),
            ..Fingerprint::default()
        }
    }

    #[test]
    fn only_what_is_not_unique_makes_a_class() {
        let mut classes = Classes::default();
        for (row, (rack, unique)) in [("r1", "a"), ("r1", "b"), ("r2", "a")].into_iter().enumerate() {
            classes.put(row as u32, Some(&print(rack, unique)));
        }
        assert_eq!(classes.of(0), classes.of(1));
        assert_ne!(classes.of(0), classes.of(2));
    }

    #[test]
    fn the_number_of_an_empty_class_is_given_out_again() {
        let mut classes = Classes::default();
        for round in 0..10 {
            classes.put(0, Some(&print(&format!("r{round}"), "")));
        }
        classes.put(0, None);
        classes.put(1, Some(&print("r", "")));
        assert!(classes.len() <= 2, "{} numbers for one class", classes.len());
    }
}
