//! The recorded cases of the original's template library (`template.json`).

use std::collections::BTreeMap;

use holdfast_template::{Data, Lookup, Options, Rendered, ServiceInstance, ServiceSummary, Variable, render};
use serde_json::Value;

use super::Verdict;

/// Checks every case; `None` when the file is about something else.
pub(super) fn check(name: &str, content: &Value) -> Option<Vec<(String, Verdict)>> {
    if name != "template" {
        return None;
    }
    let data = Stub(content["data"].clone());
    let env = content["data"]["environment"].as_object().into_iter().flatten();
    let env = env.map(|(key, value)| (key.clone(), text(value))).collect();
    let cases = content["cases"].as_array().into_iter().flatten();
    let verdict = |result: Result<(), String>| result.map_or_else(Verdict::Failed, |()| Verdict::Passed);
    Some(
        cases
            .map(|case| (text(&case["id"]), verdict(run(case, &data, &env))))
            .collect(),
    )
}

/// The stub data of the cases.
struct Stub(Value);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

impl Data for Stub {
    fn services(&self) -> Option<Vec<ServiceSummary>> {
        let services = self.0["services"].as_array()?.iter();
        Some(
            services
                .map(|s| ServiceSummary {
                    name: text(&s["Name"]),
                    tags: texts(&s["Tags"]),
                })
                .collect(),
        )
    }

    fn service(&self, name: &str) -> Option<Vec<ServiceInstance>> {
        let instances = self.0["service_instances"].get(name)?.as_array()?.iter();
        let instance = |i: &Value| ServiceInstance {
            id: text(&i["ID"]),
            name: text(&i["Name"]),
            namespace: "default".to_owned(),
            node_id: text(&i["Node"]),
            datacenter: text(&i["Datacenter"]),
            job_id: text(&i["JobID"]),
            alloc_id: text(&i["AllocID"]),
            tags: texts(&i["Tags"]),
            address: text(&i["Address"]),
            port: u16::try_from(i["Port"].as_u64().unwrap_or_default()).unwrap_or_default(),
        };
        Some(instances.map(instance).collect())
    }

    fn variable(&self, path: &str) -> Lookup<Variable> {
        match self.0["variables"].get(path) {
            None => Lookup::NotYet,
            Some(Value::Null) => Lookup::Absent,
            Some(found) => Lookup::Known(variable(path, found)),
        }
    }

    fn variables(&self, prefix: &str) -> Option<Vec<Variable>> {
        let all = self.0["variables"].as_object()?.iter();
        let under = all.filter(|(path, found)| path.starts_with(prefix) && found.is_object());
        Some(under.map(|(path, found)| variable(path, found)).collect())
    }
}

fn variable(path: &str, found: &Value) -> Variable {
    let items = found["Items"].as_object().into_iter().flatten();
    Variable {
        namespace: "default".to_owned(),
        path: path.to_owned(),
        create_index: found["CreateIndex"].as_u64().unwrap_or_default(),
        modify_index: found["ModifyIndex"].as_u64().unwrap_or_default(),
        items: items.map(|(key, value)| (key.clone(), text(value))).collect(),
    }
}

/// What is wrong with one case.
fn run(case: &Value, data: &Stub, env: &BTreeMap<String, String>) -> Result<(), String> {
    let delimiter = |key: &str, usual: &str| case[key].as_str().unwrap_or(usual).to_owned();
    let options = Options {
        left: delimiter("left_delimiter", "{{"),
        right: delimiter("right_delimiter", "}}"),
        error_on_missing_key: case["error_on_missing_key"].as_bool().unwrap_or_default(),
        env: env.clone(),
        ..Options::default()
    };
    let rendered = render(&text(&case["template"]), &options, data);
    if case.get("error").is_some() {
        return rendered
            .err()
            .map(|_| ())
            .ok_or_else(|| "rendered, and should not".to_owned());
    }
    let Rendered {
        text: got, missing, ..
    } = rendered.map_err(|error| error.to_string())?;
    if case.get("waits_for").is_some() {
        return if missing.is_empty() {
            Err(format!("does not wait: {got:?}"))
        } else {
            Ok(())
        };
    }
    if !missing.is_empty() {
        return Err(format!("waits for {missing:?}"));
    }
    let expected = text(&case["output"]);
    if got == expected {
        Ok(())
    } else {
        Err(format!("{got:?} instead of {expected:?}"))
    }
}
