//! `for` expressions, and iteration in general.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ForExpr};

use super::{Evaluated, Evaluator, Scope, span_of};
use crate::diagnostic::Diagnostic;
use crate::types::Type;
use crate::value::Value;

/// Key and value of each element: positions of lists, keys of maps, the elements of sets themselves.
pub(crate) fn pairs(collection: &Value) -> Option<Vec<(Value, Value)>> {
    if let Value::Set(items) = collection {
        return Some(items.iter().map(|item| (item.clone(), item.clone())).collect());
    }
    if let Some(items) = collection.items() {
        let positions = (0_i64..).map(Value::int);
        return Some(positions.zip(items.iter().cloned()).collect());
    }
    let entries = collection.entries()?;
    Some(
        entries
            .iter()
            .map(|(key, value)| (Value::text(key.as_str()), value.clone()))
            .collect(),
    )
}

impl Evaluator<'_> {
    pub(super) fn for_expression(&self, expression: &ForExpr, scope: &Scope<'_>) -> Evaluated {
        let intro = &expression.intro;
        let elements = self.iterate(&intro.collection_expr, scope)?;
        let key_name = intro.key_var.as_ref().map(|name| name.as_str());
        let value_name = intro.value_var.as_str();
        let mut list = Vec::new();
        let mut object: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in elements {
            let names = key_name.map(|name| (name.to_owned(), key)).into_iter();
            let inner = scope.with(names.chain([(value_name.to_owned(), value)]));
            if let Some(condition) = &expression.cond
                && !self.holds(&condition.expr, &inner)?
            {
                continue;
            }
            let result = self.evaluate(&expression.value_expr, &inner)?;
            let Some(key_expression) = &expression.key_expr else {
                list.push(result);
                continue;
            };
            let key = self.key(key_expression, &inner)?;
            if expression.grouping {
                match object.entry(key).or_insert_with(|| Value::Tuple(Vec::new())) {
                    Value::Tuple(group) => group.push(result),
                    _ => unreachable!("grouping only makes tuples"),
                }
            } else if object.insert(key.clone(), result).is_some() {
                let detail = format!(
                    "Two different items produced the key {key:?} in this 'for' expression. If duplicates are \
                     expected, use the ellipsis (...) after the value expression to enable grouping by key."
                );
                return Err(self.error(span_of(key_expression), "Duplicate object key", detail));
            }
        }
        let is_object = expression.key_expr.is_some();
        Ok(if is_object {
            Value::Object(object)
        } else {
            Value::Tuple(list)
        })
    }

    /// The elements of a collection that a `for` goes over.
    pub(super) fn iterate(
        &self,
        collection: &Expression,
        scope: &Scope<'_>,
    ) -> Result<Vec<(Value, Value)>, Diagnostic> {
        let value = self.evaluate(collection, scope)?;
        let span = collection.span().unwrap_or_default();
        if value.is_null() {
            let detail = "A null value cannot be used as the collection in a 'for' expression.";
            return Err(self.error(span, "Iteration over null value", detail));
        }
        pairs(&value).ok_or_else(|| {
            let detail = format!(
                "A value of type {} cannot be used as the collection in a 'for' expression.",
                value.type_name()
            );
            self.error(span, "Iteration over non-iterable value", detail)
        })
    }

    /// Whether a condition is true.
    pub(super) fn holds(&self, condition: &Expression, scope: &Scope<'_>) -> Result<bool, Diagnostic> {
        match Type::Bool.convert(self.evaluate(condition, scope)?) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(self.error(
                span_of(condition),
                "Condition is null",
                "The value of the condition must not be null.",
            )),
            Err(reason) => {
                let detail = format!("The condition value must be bool: {reason}.");
                Err(self.error(span_of(condition), "Invalid condition", detail))
            }
        }
    }

    fn key(&self, expression: &Expression, scope: &Scope<'_>) -> Result<String, Diagnostic> {
        let value = self.evaluate(expression, scope)?;
        value.as_text().ok_or_else(|| {
            let detail = format!(
                "The key expression produced an invalid result: string required, but have {}.",
                value.type_name()
            );
            self.error(span_of(expression), "Invalid object key", detail)
        })
    }
}
