//! Bodies without a schema, such as a task's `config`: blocks become lists of objects, and so do attributes that
//! are written like blocks.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::body::{Attribute, Block, Body};
use crate::value::Value;

/// Everything in a body.
pub(super) fn body(body: &Body) -> Json {
    let mut object: Map<String, Json> = body
        .attributes
        .iter()
        .map(|attribute| (attribute.name.clone(), value(attribute)))
        .collect();
    let mut by_kind: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for block in &body.blocks {
        by_kind.entry(&block.kind).or_default().push(labelled(block));
    }
    object.extend(
        by_kind
            .into_iter()
            .map(|(kind, blocks)| (kind.to_owned(), Json::Array(blocks))),
    );
    Json::Object(object)
}

fn value(attribute: &Attribute) -> Json {
    let value = attribute.value.as_ref().map_or(Json::Null, Value::to_json);
    if attribute.is_object {
        Json::Array(vec![value])
    } else {
        value
    }
}

/// Labels nest: `a "b" { … }` is `{"b": [{…}]}`.
fn labelled(block: &Block) -> Json {
    block
        .labels
        .iter()
        .rev()
        .fold(body(&block.body), |inner, (label, _)| {
            Json::Object(Map::from_iter([(label.clone(), Json::Array(vec![inner]))]))
        })
}
