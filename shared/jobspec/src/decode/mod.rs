//! Decoding: evaluated bodies into the tree of the JSON API, by tables.

mod connect;
mod constraint;
mod free;
mod group;
mod job;
mod network;
mod schema;
mod service;
mod task;
mod values;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::body::{Attribute, Block, Body};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, Span};
use crate::suggest;
use schema::{Child, Kind, Schema, Shape};

/// The job of an evaluated file, as the API's tree.
pub(crate) fn job(source: &Arc<Source>, body: &Body, diagnostics: &mut Diagnostics) -> Json {
    if !diagnostics.is_empty() && body.blocks.is_empty() {
        return Json::Null;
    }
    let mut decoder = Decoder { source, diagnostics };
    const ROOT: Schema = Schema::new(
        &[],
        &[schema::child("job", "Job", Shape::Labelled(&job::JOB, "ID"))],
    );
    decoder.check_names(body, &ROOT);
    let mut jobs = body.blocks("job");
    let Some(block) = jobs.next() else {
        let detail = "A job block is required: job \"name\" { … }.";
        decoder
            .diagnostics
            .push(Diagnostic::without_place("Missing job block", detail));
        return Json::Null;
    };
    if let Some(second) = jobs.next() {
        let detail = format!(
            "Only one block of type \"job\" is allowed. Previous definition was at {}.",
            source.place(&block.header())
        );
        decoder.error(second.header(), "Duplicate job block", detail);
    }
    if !decoder.check_labels(block, 1) {
        return Json::Null;
    }
    let mut job = decoder.object(&block.body, &job::JOB);
    job::name(&mut job, &block.labels[0].0);
    Json::Object(job)
}

/// Decodes bodies of one file; every error is collected.
struct Decoder<'a> {
    source: &'a Arc<Source>,
    diagnostics: &'a mut Diagnostics,
}

impl Decoder<'_> {
    fn error(&mut self, span: Span, summary: &str, detail: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::new((self.source, span), summary, detail));
    }

    /// A body as an object: every field of the schema is there that the original has.
    fn object(&mut self, body: &Body, schema: &Schema) -> Map<String, Json> {
        self.check_names(body, schema);
        let mut object = Map::new();
        for row in schema.attributes {
            let found = body.attribute(row.name).filter(|_| row.kind != Kind::Fixed);
            let value = found.and_then(|attribute| self.value(attribute, row.kind));
            if let Some(value) = value.or_else(|| row.absent.to_json()) {
                object.insert(row.field.to_owned(), value);
            }
        }
        for child in schema.blocks {
            let value = self.children(body, child);
            object.insert(child.field.to_owned(), value);
        }
        (schema.finish)(&mut object);
        object
    }

    /// The value of an attribute, or nothing when it is null or wrong.
    fn value(&mut self, attribute: &Attribute, kind: Kind) -> Option<Json> {
        let value = attribute.value.as_ref().filter(|value| !value.is_null())?;
        match values::convert(value, kind) {
            Ok(json) => Some(json),
            Err(reason) => {
                self.error(attribute.start.clone(), "Unsuitable value type", reason);
                None
            }
        }
    }

    fn children(&mut self, body: &Body, child: &Child) -> Json {
        let blocks: Vec<&Block> = body.blocks(child.name).collect();
        let is_attribute = matches!(child.shape, Shape::Texts);
        if let Some(attribute) = body.attribute(child.name).filter(|_| is_attribute) {
            if let Some(block) = blocks.first() {
                let detail = format!(
                    "{} may not be defined more than once. Another definition is defined at {}.",
                    child.name,
                    self.source.place(&attribute.span)
                );
                self.error(block.header(), &format!("Duplicate {} block", child.name), detail);
            }
            return self.value(attribute, Kind::TextMap).unwrap_or(Json::Null);
        }
        if let [first, second, ..] = blocks[..]
            && !child.shape.repeats()
        {
            let name = child.name;
            let detail = format!(
                "Only one {name} block is allowed. Another was defined at {}.",
                self.source.place(&first.header())
            );
            self.error(second.header(), &format!("Duplicate {name} block"), detail);
        }
        let blocks: Vec<&Block> = blocks
            .into_iter()
            .filter(|block| self.check_labels(block, child.shape.labels()))
            .collect();
        if blocks.is_empty() {
            return Json::Null;
        }
        self.shaped(&blocks, child.shape)
    }

    /// Blocks of one kind, at least one, in their shape.
    fn shaped(&mut self, blocks: &[&Block], shape: Shape) -> Json {
        let first = &blocks[0].body;
        match shape {
            Shape::One(schema) => Json::Object(self.object(first, schema)),
            Shape::Many(schema) => blocks
                .iter()
                .map(|block| Json::Object(self.object(&block.body, schema)))
                .collect(),
            Shape::Labelled(schema, field) => blocks
                .iter()
                .map(|block| Json::Object(self.labelled(block, schema, field)))
                .collect(),
            Shape::ByLabel(schema, field) => {
                let entries = blocks.iter().map(|block| {
                    let object = self.labelled(block, schema, field);
                    (block.labels[0].0.clone(), Json::Object(object))
                });
                Json::Object(entries.collect())
            }
            Shape::Constraints => blocks.iter().map(|block| self.constraint(&block.body)).collect(),
            Shape::Affinities => blocks.iter().map(|block| self.affinity(&block.body)).collect(),
            Shape::Free => free::body(first),
            Shape::Texts | Shape::TextsBlock => self.attributes(first, Kind::Text),
            Shape::TextLists => self.attributes(first, Kind::Texts),
        }
    }

    fn labelled(&mut self, block: &Block, schema: &Schema, field: &str) -> Map<String, Json> {
        let mut object = self.object(&block.body, schema);
        object.insert(field.to_owned(), Json::from(block.labels[0].0.as_str()));
        object
    }

    /// A body of nothing but attributes of one kind.
    fn attributes(&mut self, body: &Body, kind: Kind) -> Json {
        if let Some(block) = body.blocks.first() {
            self.error(
                block.kind_span.clone(),
                "Unexpected block",
                format!(
                    "Blocks are not allowed here; write {} = {{ … }} to set a value.",
                    block.kind
                ),
            );
        }
        let values = body.attributes.iter();
        let values = values.filter_map(|it| Some((it.name.clone(), self.value(it, kind)?)));
        Json::Object(values.collect())
    }

    /// Complains about attributes and blocks that the schema does not have.
    fn check_names(&mut self, body: &Body, schema: &Schema) {
        let attributes = || {
            let mut names: Vec<&str> = schema
                .attributes
                .iter()
                .filter(|row| row.kind != Kind::Fixed)
                .map(|row| row.name)
                .collect();
            names.sort_unstable();
            names
        };
        let blocks = || {
            let mut names: Vec<&str> = schema.blocks.iter().map(|child| child.name).collect();
            names.sort_unstable();
            names
        };
        for attribute in &body.attributes {
            let name = attribute.name.as_str();
            let child = schema.blocks.iter().find(|child| child.name == name);
            if attributes().contains(&name)
                || matches!(
                    child,
                    Some(Child {
                        shape: Shape::Texts,
                        ..
                    })
                )
            {
                continue;
            }
            let mut detail = format!("An argument named {name:?} is not expected here.");
            if child.is_some() {
                detail.push_str(&format!(" Did you mean to define a block of type {name:?}?"));
            } else if let Some(near) = suggest::nearest(name, attributes()) {
                detail.push_str(&format!(" Did you mean {near:?}?"));
            }
            self.error(attribute.name_span.clone(), "Unsupported argument", detail);
        }
        for block in &body.blocks {
            let kind = block.kind.as_str();
            if blocks().contains(&kind) {
                continue;
            }
            let mut detail = format!("Blocks of type {kind:?} are not expected here.");
            if attributes().contains(&kind) {
                detail.push_str(&format!(
                    " Did you mean to define argument {kind:?}? If so, use the equals sign to assign it a value."
                ));
            } else if let Some(near) = suggest::nearest(kind, blocks()) {
                detail.push_str(&format!(" Did you mean {near:?}?"));
            }
            self.error(block.kind_span.clone(), "Unsupported block type", detail);
        }
    }

    /// Whether a block has as many labels as it must.
    fn check_labels(&mut self, block: &Block, count: usize) -> bool {
        let kind = &block.kind;
        if let Some((_, span)) = block.labels.get(count) {
            let detail = if count == 0 {
                format!("No labels are expected for {kind} blocks.")
            } else {
                format!("Only {count} labels (name) are expected for {kind} blocks.")
            };
            self.error(span.clone(), &format!("Extraneous label for {kind}"), detail);
            return false;
        }
        if block.labels.len() < count {
            let detail = format!("All {kind} blocks must have {count} labels (name).");
            self.error(block.open.clone(), &format!("Missing name for {kind}"), detail);
            return false;
        }
        true
    }
}
