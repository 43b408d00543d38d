//! Compares two blocks by their shape.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::change::{DiffType, FieldDiff, ObjectDiff, sort_fields};
use crate::flat::{Flat, flat, settings};
use crate::pairing::pairs;
use crate::shape::{Judged, Part, Shape};

/// The two versions of something; a version may not have it.
pub(crate) type Versions<'a> = (Option<&'a Value>, Option<&'a Value>);

/// What changes in a block, if anything does. `contextual` shows what is unchanged beside it.
pub(crate) fn block(shape: &Shape, versions: Versions<'_>, contextual: bool) -> Option<ObjectDiff> {
    if versions.0 == versions.1 {
        return None;
    }
    let fields = fields(shape, versions, contextual);
    let kind = match shape.judged {
        Judged::ByPresence => DiffType::of_presence(versions.0, versions.1),
        Judged::ByFields => DiffType::of_fields(&fields),
    };
    let objects = objects(shape.parts, versions, contextual);
    (kind != DiffType::None).then(|| ObjectDiff {
        kind,
        name: shape.name.into(),
        fields,
        objects,
    })
}

/// What changes in the fields of a block.
pub(crate) fn fields(shape: &Shape, (old, new): Versions<'_>, contextual: bool) -> Vec<FieldDiff> {
    let is_edited = old.is_some() && new.is_some();
    field_diffs(
        &flat(shape, old, is_edited),
        &flat(shape, new, is_edited),
        contextual && shape.in_context,
    )
}

/// What changes in the blocks inside a block.
pub(crate) fn objects(parts: &[Part], (old, new): Versions<'_>, contextual: bool) -> Vec<ObjectDiff> {
    let versions = |key: &str| (old.and_then(|it| it.get(key)), new.and_then(|it| it.get(key)));
    let mut objects = Vec::new();
    for part in parts {
        match *part {
            Part::Block(key, shape) => objects.extend(block(shape, versions(key), contextual)),
            Part::List(key, shape, pairing) => {
                let (old, new) = versions(key);
                let pairs = pairs(pairing, &elements(old), &elements(new)).into_iter();
                let mut list: Vec<_> = pairs.filter_map(|pair| block(shape, pair, contextual)).collect();
                list.sort_by(ObjectDiff::order);
                objects.extend(list);
            }
            Part::Words(key) => objects.extend(words(key, versions(key), contextual)),
            Part::ChangedWords(key) => {
                let words = words(key, versions(key), contextual);
                objects.extend(words.filter(|it| it.kind != DiffType::None));
            }
            Part::Settings(key) => objects.extend(named_settings(key, versions(key), contextual)),
            Part::ChangedSettings(key) => objects.extend(named_settings(key, versions(key), false)),
        }
    }
    objects
}

/// The elements of a list, or the values of a map.
fn elements(list: Option<&Value>) -> Vec<&Value> {
    match list {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(map)) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn field_diffs(old: &Flat, new: &Flat, contextual: bool) -> Vec<FieldDiff> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text = |flat: &'_ Flat, name: &String| flat.get(name).cloned().unwrap_or_default();
    let diffs = names
        .into_iter()
        .map(|name| FieldDiff::new(name, &text(old, name), &text(new, name)));
    diffs
        .filter(|it| contextual || it.kind != DiffType::None)
        .collect()
}

fn words(name: &str, (old, new): Versions<'_>, contextual: bool) -> Option<ObjectDiff> {
    let set = |list| {
        elements(list)
            .into_iter()
            .filter_map(Value::as_str)
            .collect::<BTreeSet<_>>()
    };
    let (old, new) = (set(old), set(new));
    let side = |set: &BTreeSet<&str>, word| if set.contains(word) { word } else { "" }.to_owned();
    let diffs = old
        .union(&new)
        .map(|word| FieldDiff::new(name, &side(&old, word), &side(&new, word)));
    let mut fields: Vec<_> = diffs
        .filter(|it| contextual || it.kind != DiffType::None)
        .collect();
    sort_fields(&mut fields);
    let kind = DiffType::of_fields(&fields);
    (!fields.is_empty()).then(|| ObjectDiff {
        kind,
        name: name.into(),
        fields,
        objects: Vec::new(),
    })
}

fn named_settings(name: &str, (old, new): Versions<'_>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let fields = field_diffs(&settings(old), &settings(new), contextual);
    let is_there = |it: &&Value| it.as_object().is_some_and(|it| !it.is_empty());
    let kind = match (old.filter(is_there), new.filter(is_there)) {
        (None, _) => DiffType::Added,
        (_, None) => DiffType::Deleted,
        _ => DiffType::Edited,
    };
    Some(ObjectDiff {
        kind,
        name: name.into(),
        fields,
        objects: Vec::new(),
    })
}

/// The elements of both lists by name, each with its versions; of elements with the same name the last counts.
pub(crate) fn by_name<'a>((old, new): Versions<'a>) -> BTreeMap<&'a str, Versions<'a>> {
    let mut found: BTreeMap<&str, Versions<'_>> = BTreeMap::new();
    let name = |it: &'a Value| it["Name"].as_str().unwrap_or_default();
    for element in elements(old) {
        found.entry(name(element)).or_default().0 = Some(element);
    }
    for element in elements(new) {
        found.entry(name(element)).or_default().1 = Some(element);
    }
    found
}
