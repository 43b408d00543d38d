//! Types: how variables declare them, and conversion and unification of values.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, ObjectKey};

use crate::number::Number;
use crate::value::Value;

/// A type as `variable` blocks and `convert` write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Bool,
    Number,
    String,
    List(Box<Self>),
    Set(Box<Self>),
    Map(Box<Self>),
    Tuple(Vec<Self>),
    /// Attributes, and whether each may be missing.
    Object(BTreeMap<String, (Self, bool)>),
}

impl Type {
    /// Reads a type expression.
    ///
    /// # Errors
    /// One sentence that says what a type looks like.
    pub(crate) fn parse(expression: &Expression) -> Result<Self, String> {
        match expression {
            Expression::Variable(name) => match name.as_str() {
                "any" => Ok(Self::Any),
                "bool" => Ok(Self::Bool),
                "number" => Ok(Self::Number),
                "string" => Ok(Self::String),
                "list" | "set" | "map" => Err(format!(
                    "The {} type constructor requires one argument specifying the element type.",
                    name.as_str()
                )),
                other => Err(format!("The keyword {other:?} is not a valid type specification.")),
            },
            Expression::FuncCall(call) => {
                let arguments: Vec<&Expression> = call.args.iter().collect();
                Self::parse_constructor(call.name.name.as_str(), &arguments)
            }
            Expression::Parenthesis(inner) => Self::parse(inner.inner()),
            _ => Err("A type specification is either a primitive type keyword (bool, number, string) or a complex \
                      type constructor call, like list(string)."
                .to_owned()),
        }
    }

    fn parse_constructor(name: &str, arguments: &[&Expression]) -> Result<Self, String> {
        match (name, arguments) {
            ("list", [element]) => Ok(Self::List(Box::new(Self::parse(element)?))),
            ("set", [element]) => Ok(Self::Set(Box::new(Self::parse(element)?))),
            ("map", [element]) => Ok(Self::Map(Box::new(Self::parse(element)?))),
            ("tuple", [Expression::Array(types)]) => types
                .iter()
                .map(Self::parse)
                .collect::<Result<_, _>>()
                .map(Self::Tuple),
            ("object", [Expression::Object(attributes)]) => {
                let attributes = attributes.iter().map(|(key, value)| {
                    let ObjectKey::Ident(key) = key else {
                        return Err("Object constructor map keys must be attribute names.".to_owned());
                    };
                    Ok((key.as_str().to_owned(), Self::parse_attribute(value.expr())?))
                });
                attributes.collect::<Result<_, _>>().map(Self::Object)
            }
            ("list" | "set" | "map" | "tuple" | "object", _) => Err(format!(
                "The {name} type constructor requires one argument specifying its content."
            )),
            _ => Err(format!("Keyword {name:?} is not a valid type constructor.")),
        }
    }

    fn parse_attribute(expression: &Expression) -> Result<(Self, bool), String> {
        if let Expression::FuncCall(call) = expression
            && call.name.name.as_str() == "optional"
        {
            let inner = call.args.iter().next().ok_or("optional(…) requires a type.")?;
            return Ok((Self::parse(inner)?, true));
        }
        Ok((Self::parse(expression)?, false))
    }

    /// The name of the type in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Any => "dynamic".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Number => "number".to_owned(),
            Self::String => "string".to_owned(),
            Self::List(element) => format!("list of {}", element.name()),
            Self::Set(element) => format!("set of {}", element.name()),
            Self::Map(element) => format!("map of {}", element.name()),
            Self::Tuple(_) => "tuple".to_owned(),
            Self::Object(_) => "object".to_owned(),
        }
    }

    /// The type of a value.
    pub(crate) fn of(value: &Value) -> Self {
        let element = |items: &mut dyn Iterator<Item = &Value>| {
            Box::new(unify(items.map(Self::of)).unwrap_or(Self::Any))
        };
        match value {
            Value::Null => Self::Any,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Tuple(items) => Self::Tuple(items.iter().map(Self::of).collect()),
            Value::List(items) => Self::List(element(&mut items.iter())),
            Value::Set(items) => Self::Set(element(&mut items.iter())),
            Value::Map(entries) => Self::Map(element(&mut entries.values())),
            Value::Object(entries) => Self::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), (Self::of(value), false)))
                    .collect(),
            ),
        }
    }

    /// The value as this type.
    ///
    /// # Errors
    /// What was required, in the original's words.
    pub(crate) fn convert(&self, value: Value) -> Result<Value, String> {
        if value.is_null() || *self == Self::Any {
            return Ok(value);
        }
        match self {
            Self::Any => Ok(value),
            Self::Bool => to_bool(value),
            Self::Number => to_number(value).map(Value::Number),
            Self::String => value
                .as_text()
                .map(Value::String)
                .ok_or_else(|| mismatch("string", &value)),
            Self::List(element) => Ok(Value::List(self.elements(value, element)?)),
            Self::Set(element) => Ok(Value::set(self.elements(value, element)?)),
            Self::Map(element) => self.entries(value, element).map(Value::Map),
            Self::Tuple(types) => {
                let items = value.items().filter(|items| items.len() == types.len());
                let items = items.ok_or_else(|| mismatch("tuple", &value))?;
                let items = types.iter().zip(items).map(|(of, item)| of.convert(item.clone()));
                items.collect::<Result<_, _>>().map(Value::Tuple)
            }
            Self::Object(attributes) => object(attributes, &value),
        }
    }

    fn elements(&self, value: Value, element: &Self) -> Result<Vec<Value>, String> {
        let items = value.items().ok_or_else(|| format!("{} required", self.name()))?;
        // `list(any)` makes its elements one type, as the language demands.
        let element = match element {
            Self::Any => {
                unify(items.iter().map(Self::of)).ok_or("all list elements must have the same type")?
            }
            element => element.clone(),
        };
        items.iter().map(|item| element.convert(item.clone())).collect()
    }

    fn entries(&self, value: Value, element: &Self) -> Result<BTreeMap<String, Value>, String> {
        let entries = value
            .entries()
            .ok_or_else(|| format!("{} required", self.name()))?;
        let element = match element {
            Self::Any => {
                unify(entries.values().map(Self::of)).ok_or("all map elements must have the same type")?
            }
            element => element.clone(),
        };
        let entries = entries
            .iter()
            .map(|(key, item)| Ok((key.clone(), element.convert(item.clone())?)));
        entries.collect()
    }
}

fn object(attributes: &BTreeMap<String, (Type, bool)>, value: &Value) -> Result<Value, String> {
    let entries = value.entries().ok_or_else(|| mismatch("object", value))?;
    let mut converted = BTreeMap::new();
    for (name, (of, is_optional)) in attributes {
        let value = match entries.get(name) {
            Some(value) => of
                .convert(value.clone())
                .map_err(|reason| format!("attribute {name:?}: {reason}"))?,
            None if *is_optional => Value::Null,
            None => return Err(format!("attribute {name:?} is required")),
        };
        converted.insert(name.clone(), value);
    }
    Ok(Value::Object(converted))
}

fn mismatch(required: &str, value: &Value) -> String {
    format!("{required} required, but have {}", value.type_name())
}

/// A number, or text that is one.
pub(crate) fn to_number(value: Value) -> Result<Number, String> {
    match value {
        Value::Number(number) => Ok(number),
        Value::String(text) => Number::parse(&text).ok_or_else(|| "a number is required".to_owned()),
        other => Err(mismatch("number", &other)),
    }
}

fn to_bool(value: Value) -> Result<Value, String> {
    match value {
        Value::Bool(flag) => Ok(Value::Bool(flag)),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err("a bool is required".to_owned()),
        },
        other => Err(mismatch("bool", &other)),
    }
}

/// The one type that values of all these types convert to, if there is one; of nothing it is anything.
pub(crate) fn unify(mut types: impl Iterator<Item = Type>) -> Option<Type> {
    types.try_fold(Type::Any, unify_two)
}

/// See [`unify`].
pub(crate) fn unify_two(a: Type, b: Type) -> Option<Type> {
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Type::Any, other) | (other, Type::Any) => other,
        (Type::String, Type::Number | Type::Bool) | (Type::Number | Type::Bool, Type::String) => Type::String,
        (Type::List(a), Type::List(b)) => Type::List(Box::new(unify_two(*a, *b)?)),
        (Type::Set(a), Type::Set(b)) => Type::Set(Box::new(unify_two(*a, *b)?)),
        (Type::Map(a), Type::Map(b)) => Type::Map(Box::new(unify_two(*a, *b)?)),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
            let both = a.into_iter().zip(b).map(|(a, b)| unify_two(a, b));
            Type::Tuple(both.collect::<Option<_>>()?)
        }
        (Type::Tuple(a), Type::Tuple(b)) => Type::List(Box::new(unify(a.into_iter().chain(b))?)),
        (Type::Tuple(types), Type::List(element)) | (Type::List(element), Type::Tuple(types)) => {
            Type::List(Box::new(unify(types.into_iter().chain([*element]))?))
        }
        (Type::Tuple(types), Type::Set(element)) | (Type::Set(element), Type::Tuple(types)) => {
            Type::Set(Box::new(unify(types.into_iter().chain([*element]))?))
        }
        (Type::Object(a), Type::Object(b)) if a.keys().eq(b.keys()) => {
            let both = a.into_iter().zip(b.into_values());
            let both = both.map(|((key, (a, _)), (b, _))| Some((key, (unify_two(a, b)?, false))));
            Type::Object(both.collect::<Option<_>>()?)
        }
        (Type::Object(a), Type::Object(b)) => {
            let types = a.into_values().chain(b.into_values()).map(|(of, _)| of);
            Type::Map(Box::new(unify(types)?))
        }
        (Type::Object(attributes), Type::Map(element)) | (Type::Map(element), Type::Object(attributes)) => {
            let types = attributes.into_values().map(|(of, _)| of);
            Type::Map(Box::new(unify(types.chain([*element]))?))
        }
        _ => return None,
    })
}
