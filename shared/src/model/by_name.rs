//! Things by name, in little room.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Things by name, in the order of names. Most of these have one entry or two, and the coordinator keeps some for every
/// allocation and evaluation: a list is smaller and faster than a tree, whose smallest node has room for eleven.
#[derive(Clone, PartialEq, Eq)]
pub struct ByName<T>(Vec<(Arc<str>, T)>);

/// Numbers by name.
pub type Tally = ByName<u64>;

impl<T> ByName<T> {
    /// The thing called `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// The thing called `name`, to be changed.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut T> {
        self.place(name).ok().map(|at| &mut self.0[at].1)
    }

    /// The name itself, to have it once.
    pub fn name_of(&self, name: &str) -> Option<&Arc<str>> {
        self.place(name).ok().map(|at| &self.0[at].0)
    }

    /// Whether something is called `name`.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Puts a thing in; in place of what had its name.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, thing: T) {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => self.0[at].1 = thing,
            Err(at) => self.add_at(at, name, thing),
        }
    }

    /// The thing called `name`; a new one when there was none.
    pub fn or_default(&mut self, name: &str) -> &mut T
    where
        T: Default,
    {
        let at = self.place(name).unwrap_or_else(|at| {
            self.add_at(at, name.into(), T::default());
            at
        });
        &mut self.0[at].1
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Has others share the names: `share` answers the same name.
    pub fn share_names(&mut self, mut share: impl FnMut(&Arc<str>) -> Arc<str>) {
        self.0.iter_mut().for_each(|(name, _)| *name = share(name));
    }

    /// The things.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }

    /// Names, and things to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut T)> {
        self.0.iter_mut().map(|(name, thing)| (&**name, thing))
    }

    /// Names and things.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, thing)| (&**name, thing))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn add_at(&mut self, at: usize, name: Arc<str>, thing: T) {
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.insert(at, (name, thing));
    }
}

impl Tally {
    /// Adds to the number of `name`.
    pub fn add(&mut self, name: &Arc<str>, number: u64) {
        match self.place(name) {
            Ok(at) => self.0[at].1 += number,
            Err(at) => self.add_at(at, Arc::clone(name), number),
        }
    }

    /// The number of `name`, if there is one.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).copied()
    }

    /// The same as people's formats have it.
    pub fn to_map(&self) -> BTreeMap<String, u64> {
        self.iter()
            .map(|(name, number)| (name.to_owned(), *number))
            .collect()
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for ByName<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T> Index<&str> for ByName<T> {
    type Output = T;

    fn index(&self, name: &str) -> &T {
        self.get(name).expect("whoever indexes knows that it is there")
    }
}

impl<'a, T> IntoIterator for &'a ByName<T> {
    type Item = (&'a str, &'a T);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl<N: Into<Arc<str>>, T> FromIterator<(N, T)> for ByName<T> {
    /// Of two things with one name, the later one counts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(things: I) -> Self {
        let mut list: Vec<(Arc<str>, T)> = things
            .into_iter()
            .map(|(name, thing)| (name.into(), thing))
            .collect();
        // Stable: the later one of two stands behind.
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        list.shrink_to_fit();
        Self(list)
    }
}

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByNameVisitor(PhantomData))
    }
}

struct ByNameVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ByNameVisitor<T> {
    type Value = ByName<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("things by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = map.next_entry::<String, T>()? {
            list.push(entry);
        }
        Ok(list.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_in_the_order_of_names() {
        let mut map: ByName<u32> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", &2), ("b", &3)]);
        map.insert("c", 4);
        map.insert("a", 5);
        *map.or_default("b") += 1;
        *map.or_default("0") += 6;
        assert_eq!(map.keys().collect::<Vec<_>>(), ["0", "a", "b", "c"]);
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [6, 5, 4, 4]);
        assert_eq!((map["a"], map.get("x"), map.contains_key("c")), (5, None, true));
    }

    #[test]
    fn it_is_stored_as_a_map() {
        let map: ByName<u32> = [("b", 1), ("a", 2)].into_iter().collect();
        let json = serde_json::to_string(&map).unwrap();
        assert_eq!(json, r#"{"a":2,"b":1}"#);
        assert_eq!(serde_json::from_str::<ByName<u32>>(&json).unwrap(), map);
    }
}
