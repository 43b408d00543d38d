//! Values of the language.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::number::Number;

/// A value. As in the language, `[…]` makes a tuple and `{…}` an object; lists, sets and maps come from
/// declared types and from functions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Tuple(Vec<Self>),
    List(Vec<Self>),
    /// Sorted and without repetition, see [`Value::set`].
    Set(Vec<Self>),
    Object(BTreeMap<String, Self>),
    Map(BTreeMap<String, Self>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn int(whole: i64) -> Self {
        Self::Number(whole.into())
    }

    /// A set of these values.
    pub(crate) fn set(items: impl IntoIterator<Item = Self>) -> Self {
        let mut items: Vec<Self> = items.into_iter().collect();
        items.sort_by_key(Self::sort_key);
        items.dedup();
        Self::Set(items)
    }

    /// What sets are ordered by: text by its bytes, numbers by size.
    fn sort_key(&self) -> (u8, String) {
        match self {
            Self::String(text) => (1, text.clone()),
            // Shifted so that text order is numeric order for whole numbers.
            Self::Number(Number::Int(whole)) => (0, format!("{:040}", whole.saturating_add(1 << 100))),
            other => (2, other.to_json().to_string()),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The items of a tuple, list or set.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(items) | Self::List(items) | Self::Set(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of an object or map.
    pub(crate) fn entries(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(entries) | Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The name of its type in messages.
    pub(crate) fn type_name(&self) -> String {
        let of = |items: &mut dyn Iterator<Item = &Self>| {
            items.next().map_or_else(|| "dynamic".to_owned(), Self::type_name)
        };
        match self {
            Self::Null => "dynamic".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Number(_) => "number".to_owned(),
            Self::String(_) => "string".to_owned(),
            Self::Tuple(_) => "tuple".to_owned(),
            Self::Object(_) => "object".to_owned(),
            Self::List(items) => format!("list of {}", of(&mut items.iter())),
            Self::Set(items) => format!("set of {}", of(&mut items.iter())),
            Self::Map(entries) => format!("map of {}", of(&mut entries.values())),
        }
    }

    /// A primitive as text, as interpolation and conversion write it.
    pub(crate) fn as_text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The JSON form, as the API writes it.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Number(number) => number_to_json(*number),
            Self::String(text) => Json::String(text.clone()),
            Self::Tuple(items) | Self::List(items) | Self::Set(items) => {
                Json::Array(items.iter().map(Self::to_json).collect())
            }
            Self::Object(entries) | Self::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// The value of a JSON document.
    pub(crate) fn from_json(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => {
                Self::Number(Number::parse(&number.to_string()).unwrap_or(Number::Float(f64::NAN)))
            }
            Json::String(text) => Self::String(text),
            Json::Array(items) => Self::Tuple(items.into_iter().map(Self::from_json).collect()),
            Json::Object(entries) => Self::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, Self::from_json(value)))
                    .collect(),
            ),
        }
    }
}

fn number_to_json(number: Number) -> Json {
    match number.as_i64() {
        Some(whole) => Json::from(whole),
        None => serde_json::Number::from_f64(number.as_f64()).map_or(Json::Null, Json::Number),
    }
}
