//! Names, attributes, indexes and splats; names that only a node knows.

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::repr::Decorated;

use super::{Evaluated, Evaluator, Scope, span_of};
use crate::number::Number;
use crate::source::Span;
use crate::value::Value;

type Operator = Decorated<TraversalOperator>;

impl Evaluator<'_> {
    pub(super) fn traverse(&self, expression: &Expression, scope: &Scope<'_>) -> Evaluated {
        let (root, operators): (&Expression, &[Operator]) = match expression {
            Expression::Traversal(traversal) => (&traversal.expr, &traversal.operators),
            other => (other, &[]),
        };
        if let Expression::Variable(name) = root {
            let Some(value) = scope.find(name.as_str()) else {
                let (text, used) = self.foreign(root, operators);
                return self.apply(Value::String(text), &operators[used..], scope);
            };
            return self.apply(value.clone(), operators, scope);
        }
        let value = self.evaluate(root, scope)?;
        self.apply(value, operators, scope)
    }

    /// Whether an expression is nothing but a name that only a node knows.
    pub(super) fn is_foreign(expression: &Expression, scope: &Scope<'_>) -> bool {
        let (root, operators): (&Expression, &[Operator]) = match expression {
            Expression::Traversal(traversal) => (&traversal.expr, &traversal.operators),
            other => (other, &[]),
        };
        let Expression::Variable(name) = root else {
            return false;
        };
        scope.find(name.as_str()).is_none() && operators.iter().all(|operator| is_plain(operator.value()))
    }

    /// `${` source text `}` of a foreign name with its plain operators, and how many of them there are.
    fn foreign(&self, root: &Expression, operators: &[Operator]) -> (String, usize) {
        let used = operators
            .iter()
            .take_while(|operator| is_plain(operator.value()))
            .count();
        let start = span_of(root).start;
        let end = operators[..used]
            .last()
            .and_then(|operator| operator.span())
            .unwrap_or_else(|| span_of(root))
            .end;
        (format!("${{{}}}", &self.source.text[start..end]), used)
    }

    /// Follows operators from a value.
    fn apply(&self, value: Value, operators: &[Operator], scope: &Scope<'_>) -> Evaluated {
        let Some((operator, rest)) = operators.split_first() else {
            return Ok(value);
        };
        let span = operator.span().unwrap_or_default();
        match operator.value() {
            TraversalOperator::GetAttr(name) => {
                self.apply(self.attribute(&value, name.as_str(), span)?, rest, scope)
            }
            TraversalOperator::LegacyIndex(index) => {
                let key = Value::Number(Number::Int((*index.value()).into()));
                self.apply(self.index(&value, &key, span)?, rest, scope)
            }
            TraversalOperator::Index(expression) => {
                let key = self.evaluate(expression, scope)?;
                self.apply(self.index(&value, &key, span)?, rest, scope)
            }
            TraversalOperator::AttrSplat(_) => {
                // Only attributes belong to the splat; an index after them applies to its result.
                let is_attribute = |operator: &&Operator| {
                    matches!(
                        operator.value(),
                        TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_)
                    )
                };
                let inside = rest.iter().take_while(is_attribute).count();
                let (each, after) = rest.split_at(inside);
                self.apply(self.splat(value, each, span, scope)?, after, scope)
            }
            TraversalOperator::FullSplat(_) => self.splat(value, rest, span, scope),
        }
    }

    /// Applies operators to every element; one value counts as a list of one, null as an empty list.
    fn splat(&self, value: Value, each: &[Operator], span: Span, scope: &Scope<'_>) -> Evaluated {
        let items = match &value {
            Value::Null => return Ok(Value::Tuple(Vec::new())),
            Value::Tuple(items) | Value::List(items) | Value::Set(items) => items.clone(),
            _ => vec![value],
        };
        let items = items.into_iter().map(|item| {
            if item.is_null() && !each.is_empty() {
                let detail = "Splat expressions (with the * symbol) cannot be applied to null elements.";
                return Err(self.error(span.clone(), "Splat of null value", detail));
            }
            self.apply(item, each, scope)
        });
        items.collect::<Result<_, _>>().map(Value::Tuple)
    }

    fn attribute(&self, value: &Value, name: &str, span: Span) -> Evaluated {
        let detail = match value {
            Value::Object(entries) | Value::Map(entries) => match entries.get(name) {
                Some(value) => return Ok(value.clone()),
                None if matches!(value, Value::Map(_)) => {
                    let detail = format!("This map does not have an element with the key {name:?}.");
                    return Err(self.error(span, "Missing map element", detail));
                }
                None => format!("This object does not have an attribute named {name:?}."),
            },
            Value::Null => {
                let detail = "This value is null, so it does not have any attributes.";
                return Err(self.error(span, "Attempt to get attribute from null value", detail));
            }
            Value::Tuple(_) | Value::List(_) | Value::Set(_) => {
                format!(
                    "Can't access attributes on a list of objects. Did you mean to access attribute {name:?} for a specific element of the list, or across all elements of the list?"
                )
            }
            other => format!(
                "Can't access attributes on a primitive-typed value ({}).",
                other.type_name()
            ),
        };
        Err(self.error(span, "Unsupported attribute", detail))
    }

    fn index(&self, value: &Value, key: &Value, span: Span) -> Evaluated {
        let invalid = |detail: &str| Err(self.error(span.clone(), "Invalid index", detail));
        if value.is_null() {
            let detail = "This value is null, so it does not have any indices.";
            return Err(self.error(span, "Attempt to index null value", detail));
        }
        if key.is_null() {
            return invalid("Can't use a null value as an indexing key.");
        }
        let found = match value {
            Value::Tuple(items) | Value::List(items) => {
                let position = match key {
                    Value::Number(number) => number.as_usize(),
                    Value::String(text) => Number::parse(text).and_then(Number::as_usize),
                    _ => {
                        return invalid(
                            "The given key does not identify an element in this collection value: number required.",
                        );
                    }
                };
                position.and_then(|position| items.get(position))
            }
            Value::Object(entries) | Value::Map(entries) => match key.as_text() {
                Some(key) => entries.get(&key),
                None => {
                    return invalid(
                        "The given key does not identify an element in this collection value: string required.",
                    );
                }
            },
            Value::Set(_) => {
                return invalid(
                    "Elements of a set are identified only by their value and don't have any separate index or key to select with, so it's only possible to perform operations across all elements of the set.",
                );
            }
            _ => return invalid("This value does not have any indices."),
        };
        match found {
            Some(found) => Ok(found.clone()),
            None => invalid("The given key does not identify an element in this collection value."),
        }
    }
}

/// Whether an operator belongs to a name's source text: attributes and literal indexes do.
fn is_plain(operator: &TraversalOperator) -> bool {
    match operator {
        TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_) => true,
        TraversalOperator::Index(index) => matches!(index, Expression::Number(_) | Expression::String(_)),
        TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => false,
    }
}
