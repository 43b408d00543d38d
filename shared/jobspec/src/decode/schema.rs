//! The language of the tables that say what a block may contain and where it goes in the API's tree.

use serde_json::{Map, Value as Json};

/// What one kind of block may contain.
pub(crate) struct Schema {
    pub(crate) attributes: &'static [Attribute],
    pub(crate) blocks: &'static [Child],
    /// What is left to do when everything is decoded.
    pub(crate) finish: fn(&mut Map<String, Json>),
}

impl Schema {
    pub(crate) const fn new(attributes: &'static [Attribute], blocks: &'static [Child]) -> Self {
        Self {
            attributes,
            blocks,
            finish: |_| {},
        }
    }

    pub(crate) const fn finish(mut self, finish: fn(&mut Map<String, Json>)) -> Self {
        self.finish = finish;
        self
    }
}

/// What an attribute's value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Integer,
    /// Text such as `1h30m`, or a number of nanoseconds; nanoseconds in the tree.
    Duration,
    Texts,
    Integers,
    TextMap,
    /// Not an attribute at all: a field that job files cannot set.
    Fixed,
}

/// What the field is when the attribute is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Null,
    Text(&'static str),
    Number(i64),
    Flag(bool),
    Empty,
    /// There is no field: it is ours, and other tools see what they know.
    Left,
}

impl Absent {
    pub(crate) fn to_json(self) -> Option<Json> {
        Some(match self {
            Self::Null => Json::Null,
            Self::Text(text) => Json::from(text),
            Self::Number(number) => Json::from(number),
            Self::Flag(flag) => Json::from(flag),
            Self::Empty => Json::Array(Vec::new()),
            Self::Left => return None,
        })
    }
}

/// One attribute.
pub(crate) struct Attribute {
    /// Its name in job files.
    pub(crate) name: &'static str,
    /// Its field in the tree.
    pub(crate) field: &'static str,
    pub(crate) kind: Kind,
    pub(crate) absent: Absent,
}

impl Attribute {
    /// Says what the field is without the attribute.
    pub(crate) const fn or(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }
}

const fn attribute(name: &'static str, field: &'static str, kind: Kind, absent: Absent) -> Attribute {
    Attribute {
        name,
        field,
        kind,
        absent,
    }
}

/// Text; empty without it.
pub(crate) const fn text(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Text, Absent::Text(""))
}

/// Text; null without it.
pub(crate) const fn optional_text(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Text, Absent::Null)
}

/// True or false; false without it.
pub(crate) const fn flag(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Flag, Absent::Flag(false))
}

/// True or false; null without it.
pub(crate) const fn optional_flag(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Flag, Absent::Null)
}

/// A whole number; 0 without it.
pub(crate) const fn integer(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Integer, Absent::Number(0))
}

/// A whole number; null without it.
pub(crate) const fn optional_integer(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Integer, Absent::Null)
}

/// A duration; 0 without it.
pub(crate) const fn duration(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Duration, Absent::Number(0))
}

/// A duration; null without it.
pub(crate) const fn optional_duration(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Duration, Absent::Null)
}

/// A list of texts; null without it.
pub(crate) const fn texts(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Texts, Absent::Null)
}

/// A list of whole numbers; null without it.
pub(crate) const fn integers(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::Integers, Absent::Null)
}

/// An object of texts; null without it.
pub(crate) const fn text_map(name: &'static str, field: &'static str) -> Attribute {
    attribute(name, field, Kind::TextMap, Absent::Null)
}

/// A field that job files cannot set.
pub(crate) const fn fixed(field: &'static str, absent: Absent) -> Attribute {
    attribute("", field, Kind::Fixed, absent)
}

/// What blocks of one kind become.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// One object, or null.
    One(&'static Schema),
    /// A list of objects, or null.
    Many(&'static Schema),
    /// A list of objects that hold their label in this field.
    Labelled(&'static Schema, &'static str),
    /// An object of objects by label, which they hold in this field.
    ByLabel(&'static Schema, &'static str),
    /// A list of constraints: see [`super::constraint`].
    Constraints,
    /// A list of affinities.
    Affinities,
    /// Whatever it contains; blocks and objects inside become lists of objects.
    Free,
    /// An object of texts, written as a block or as an attribute.
    Texts,
    /// An object of texts, written as a block only.
    TextsBlock,
    /// An object of lists of texts.
    TextLists,
}

/// One kind of block inside another.
pub(crate) struct Child {
    /// Its name in job files.
    pub(crate) name: &'static str,
    /// Its field in the tree.
    pub(crate) field: &'static str,
    pub(crate) shape: Shape,
}

/// One kind of block.
pub(crate) const fn child(name: &'static str, field: &'static str, shape: Shape) -> Child {
    Child { name, field, shape }
}

impl Shape {
    /// How many labels such a block has.
    pub(crate) const fn labels(self) -> usize {
        matches!(self, Self::Labelled(..) | Self::ByLabel(..)) as usize
    }

    /// Whether there may be several.
    pub(crate) const fn repeats(self) -> bool {
        matches!(
            self,
            Self::Many(_) | Self::Labelled(..) | Self::ByLabel(..) | Self::Constraints | Self::Affinities
        )
    }
}
