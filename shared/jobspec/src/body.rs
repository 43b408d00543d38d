//! Evaluated bodies: attributes with values, blocks with `dynamic` ones expanded.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block as SyntaxBlock, Body as SyntaxBody, Structure};
use serde_json::{Map, Value as Json};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::eval::{Evaluator, Scope, pairs, span_of, start_of};
use crate::source::Span;
use crate::value::Value;

/// Attributes and blocks, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
}

/// `name = value`.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    /// Missing when the expression failed, which has been reported.
    pub(crate) value: Option<Value>,
    /// Where the expression starts, which is where its value is complained of.
    pub(crate) start: Span,
    /// Name to end of value.
    pub(crate) span: Span,
    /// Whether it is written as `{ … }`, which some places take for a block.
    pub(crate) is_object: bool,
}

/// `kind "label" { … }`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) kind_span: Span,
    pub(crate) labels: Vec<(String, Span)>,
    /// The opening brace.
    pub(crate) open: Span,
    pub(crate) body: Body,
}

impl Block {
    /// Kind and labels.
    pub(crate) fn header(&self) -> Span {
        let end = self
            .labels
            .last()
            .map_or(self.kind_span.end, |(_, span)| span.end);
        self.kind_span.start..end
    }
}

impl Body {
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn blocks<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// `{"a": attributes, "b": [[kind, labels, body], …]}`.
    pub(crate) fn to_json(&self) -> Json {
        let attributes: Map<String, Json> = self
            .attributes
            .iter()
            .map(|attribute| {
                (
                    attribute.name.clone(),
                    attribute.value.as_ref().map_or(Json::Null, Value::to_json),
                )
            })
            .collect();
        let blocks: Vec<Json> = self
            .blocks
            .iter()
            .map(|block| {
                let labels: Vec<&str> = block.labels.iter().map(|(label, _)| label.as_str()).collect();
                serde_json::json!([block.kind, labels, block.body.to_json()])
            })
            .collect();
        serde_json::json!({ "a": attributes, "b": blocks })
    }
}

/// Evaluates the bodies of one file; every error is collected.
pub(crate) struct Expander<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) diagnostics: &'a mut Diagnostics,
}

impl Expander<'_> {
    pub(crate) fn body(&mut self, body: &SyntaxBody, scope: &Scope<'_>) -> Body {
        self.structures(body.iter(), scope)
    }

    /// Some of a body's attributes and blocks.
    pub(crate) fn structures<'s>(
        &mut self,
        structures: impl Iterator<Item = &'s Structure>,
        scope: &Scope<'_>,
    ) -> Body {
        let mut out = Body::default();
        for structure in structures {
            match structure {
                Structure::Attribute(attribute) => self.attribute(attribute, scope, &mut out),
                Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                    let expanded = self.dynamic(block, scope);
                    if let Some(blocks) = self.diagnostics.take(expanded) {
                        out.blocks.extend(blocks);
                    }
                }
                Structure::Block(block) => out.blocks.push(self.block(block, scope)),
            }
        }
        out
    }

    fn attribute(&mut self, attribute: &hcl_edit::structure::Attribute, scope: &Scope<'_>, out: &mut Body) {
        let name = attribute.key.as_str();
        let name_span = attribute.key.span().unwrap_or_default();
        let value = self.evaluator.evaluate(&attribute.value, scope);
        out.attributes.push(Attribute {
            name: name.to_owned(),
            value: self.diagnostics.take(value),
            start: start_of(&attribute.value),
            span: name_span.start..span_of(&attribute.value).end,
            is_object: matches!(attribute.value, Expression::Object(_)),
            name_span,
        });
    }

    pub(crate) fn block(&mut self, block: &SyntaxBlock, scope: &Scope<'_>) -> Block {
        let labels = block.labels.iter();
        let labels = labels
            .map(|label| (label.as_str().to_owned(), label.span().unwrap_or_default()))
            .collect();
        Block {
            kind: block.ident.as_str().to_owned(),
            kind_span: block.ident.span().unwrap_or_default(),
            labels,
            open: self.open_brace(block),
            body: self.body(&block.body, scope),
        }
    }

    /// The brace after kind and labels.
    fn open_brace(&self, block: &SyntaxBlock) -> Span {
        let last = block
            .labels
            .last()
            .and_then(|label| label.span())
            .or_else(|| block.ident.span());
        let header_end = last.map_or(0, |span| span.end);
        let text = &self.evaluator.source.text;
        let brace = text[header_end..]
            .find('{')
            .map_or(header_end, |offset| header_end + offset);
        brace..(brace + 1).min(text.len())
    }

    /// One block for each element of `for_each`.
    fn dynamic(&mut self, block: &SyntaxBlock, scope: &Scope<'_>) -> Result<Vec<Block>, Diagnostic> {
        let at = block.ident.span().unwrap_or_default();
        let [label] = block.labels.as_slice() else {
            let detail = "A dynamic block must have one label: the type of the blocks to generate.";
            return Err(self.evaluator.error(at, "Missing name for dynamic", detail));
        };
        let kind = label.as_str();
        let for_each = self.argument(block, "for_each").ok_or_else(|| {
            let detail = "The argument \"for_each\" is required, but no definition was found.";
            self.evaluator
                .error(self.open_brace(block), "Missing required argument", detail)
        })?;
        let content = block.body.get_blocks("content").next().ok_or_else(|| {
            let detail = "A dynamic block must contain a content block.";
            self.evaluator
                .error(self.open_brace(block), "Missing dynamic block content", detail)
        })?;
        let iterator = match self.argument(block, "iterator") {
            None => kind,
            Some(Expression::Variable(name)) => name.as_str(),
            Some(other) => {
                let detail = "Dynamic iterator must be a single variable name.";
                return Err(self
                    .evaluator
                    .error(start_of(other), "Invalid expression", detail));
            }
        };
        let value = self.evaluator.evaluate(for_each, scope)?;
        let elements = pairs(&value).ok_or_else(|| {
            let detail = format!(
                "Cannot use a {} value in for_each. An iterable collection is required.",
                value.type_name()
            );
            self.evaluator
                .error(start_of(for_each), "Invalid dynamic for_each value", detail)
        })?;
        let mut blocks = Vec::new();
        for (key, value) in elements {
            let element = Value::Object(BTreeMap::from([
                ("key".to_owned(), key),
                ("value".to_owned(), value),
            ]));
            let inner = scope.with([(iterator.to_owned(), element)]);
            let mut expanded = self.block(content, &inner);
            kind.clone_into(&mut expanded.kind);
            expanded.kind_span = label.span().unwrap_or_default();
            expanded.labels = self.dynamic_labels(block, &inner)?;
            blocks.push(expanded);
        }
        Ok(blocks)
    }

    fn argument<'b>(&self, block: &'b SyntaxBlock, name: &str) -> Option<&'b Expression> {
        block.body.get_attribute(name).map(|attribute| &attribute.value)
    }

    fn dynamic_labels(
        &self,
        block: &SyntaxBlock,
        scope: &Scope<'_>,
    ) -> Result<Vec<(String, Span)>, Diagnostic> {
        let Some(expression) = self.argument(block, "labels") else {
            return Ok(Vec::new());
        };
        let span = start_of(expression);
        let value = self.evaluator.evaluate(expression, scope)?;
        let labels = value.items().unwrap_or_default().iter();
        let labels = labels.map(|label| {
            label.as_text().map(|label| (label, span.clone())).ok_or_else(|| {
                let detail = "Cannot use a value that is not text as a dynamic block label.";
                self.evaluator
                    .error(span.clone(), "Invalid dynamic block label", detail)
            })
        });
        labels.collect()
    }
}
