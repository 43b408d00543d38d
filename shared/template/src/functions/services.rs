//! The service catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;
use sha2::{Digest, Sha256};

use super::{Outcome, Row, between, exactly, integer_of, list_of, map, map_of, string, text_of};
use crate::data::{ServiceInstance, ServiceSummary, Want};
use crate::render::{Answer, Run};

pub(super) const TABLE: &[Row] = &[
    between("nomadServices", 0, 1, |run, _| Ok(found(run.ask(Want::Services)))),
    between("nomadService", 1, 3, service),
    exactly("byTag", 1, |_, args| by_tag(&args[0])),
];

fn found(answer: Answer) -> Value {
    match answer {
        Answer::Value(value) => value,
        Answer::Missing | Answer::Absent => Value::List(Arc::from([])),
    }
}

/// `nomadService "name"`, `nomadService "tag.name"` or `nomadService count "key" "name"`.
fn service(run: &Run, args: &[Value]) -> Outcome {
    match args {
        [name] => Ok(found(named(run, text_of(name)?))),
        [count, key, name] => {
            let count = usize::try_from(integer_of(count)?).unwrap_or(0);
            let instances = found(named(run, text_of(name)?));
            Ok(rendezvous(list_of(&instances)?, count, text_of(key)?))
        }
        _ => Err("expected arguments <service> or <count> <key> <service>".to_owned()),
    }
}

/// A name may carry a tag (`v1.web`) and a region (`web@eu`); only this region's catalogue is known.
fn named(run: &Run, name: &str) -> Answer {
    let name = name.split_once('@').map_or(name, |(name, _region)| name);
    let Some((tag, service)) = name.split_once('.') else {
        return run.ask(Want::Service(name.to_owned()));
    };
    match run.ask(Want::Service(service.to_owned())) {
        Answer::Value(Value::List(instances)) => {
            let tagged = |instance: &&Value| tags(instance).iter().any(|t| t.as_str() == Some(tag));
            Answer::Value(Value::List(instances.iter().filter(tagged).cloned().collect()))
        }
        other => other,
    }
}

fn tags(instance: &Value) -> &[Value] {
    match instance.field("Tags") {
        Some(Value::List(tags)) => tags,
        _ => &[],
    }
}

/// The `count` registrations that rank highest for a key: a stable choice that moves little when they change.
fn rendezvous(instances: &[Value], count: usize, key: &str) -> Value {
    let rank = |instance: &Value| {
        let id = instance.field("ID").and_then(Value::as_str).unwrap_or_default();
        Sha256::new().chain_update(id).chain_update(key).finalize()
    };
    let mut ranked: Vec<&Value> = instances.iter().collect();
    ranked.sort_by_cached_key(|instance| rank(instance));
    Value::List(ranked.into_iter().take(count).cloned().collect())
}

/// Registrations, or lines of the list of services, by each of their tags.
fn by_tag(value: &Value) -> Outcome {
    let mut by_tag: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for item in list_of(value)? {
        map_of(item)?;
        for tag in tags(item) {
            by_tag
                .entry(Arc::from(text_of(tag)?))
                .or_default()
                .push(item.clone());
        }
    }
    Ok(map(by_tag
        .into_iter()
        .map(|(tag, items)| (tag, Value::List(items.into())))))
}

fn texts(items: Vec<String>) -> Value {
    Value::List(items.into_iter().map(string).collect())
}

/// Registrations as templates see them.
pub(crate) fn instances(instances: Vec<ServiceInstance>) -> Value {
    Value::List(instances.into_iter().map(instance).collect())
}

fn instance(instance: ServiceInstance) -> Value {
    map([
        ("ID", string(instance.id)),
        ("Name", string(instance.name)),
        ("Namespace", string(instance.namespace)),
        ("Node", string(instance.node_id.clone())),
        ("NodeID", string(instance.node_id)),
        ("Address", string(instance.address)),
        ("Port", Value::Int(instance.port.into())),
        ("Datacenter", string(instance.datacenter)),
        ("Tags", texts(instance.tags)),
        ("JobID", string(instance.job_id)),
        ("AllocID", string(instance.alloc_id)),
    ])
}

/// The list of services as templates see it.
pub(crate) fn summaries(services: Vec<ServiceSummary>) -> Value {
    let line = |service: ServiceSummary| map([("Name", string(service.name)), ("Tags", texts(service.tags))]);
    Value::List(services.into_iter().map(line).collect())
}
