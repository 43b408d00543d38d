//! Every inline template of a file renders, whatever services and variables there are.

use std::collections::BTreeMap;

use holdfast_jobspec::{ParseOptions, parse_job};
use holdfast_shared::model::Template;
use holdfast_template::{Data, Lookup, Options, ServiceInstance, ServiceSummary, Variable, render};

/// How a template is refused that asks what is not there: by the name of what to use instead.
const REFUSALS: [&str; 4] = [
    "reads from Consul",
    "reads from Vault",
    "function is disabled",
    "sockaddr: is not supported",
];

/// One of everything that a template can ask for.
struct OneOfEach;

impl Data for OneOfEach {
    fn services(&self) -> Option<Vec<ServiceSummary>> {
        Some(vec![ServiceSummary {
            name: "web".into(),
            tags: vec!["edge".into()],
        }])
    }

    fn service(&self, name: &str) -> Option<Vec<ServiceInstance>> {
        Some(vec![ServiceInstance {
            id: format!("_nomad-task-{name}"),
            name: name.to_owned(),
            namespace: "default".into(),
            node_id: "node".into(),
            datacenter: "dc1".into(),
            job_id: "job".into(),
            alloc_id: "alloc".into(),
            tags: vec!["edge".into()],
            address: "192.0.2.1".into(),
            port: 8080,
        }])
    }

    fn variable(&self, path: &str) -> Lookup<Variable> {
        Lookup::Known(Variable {
            namespace: "default".into(),
            path: path.to_owned(),
            create_index: 1,
            modify_index: 1,
            items: BTreeMap::new(),
        })
    }

    fn variables(&self, _: &str) -> Option<Vec<Variable>> {
        Some(Vec::new())
    }
}

/// What is wrong with the templates of one file; `None` for a file that is no job, too.
pub(super) fn run(source: &str, options: &ParseOptions) -> Option<Result<(), String>> {
    let job = parse_job(source, options).ok()?;
    let groups = job.groups().iter();
    let templates = groups
        .flat_map(|group| group.tasks())
        .flat_map(|task| task.templates());
    let mut seen = false;
    for template in templates {
        if let Some(text) = template.embedded_tmpl.as_deref().filter(|it| !it.is_empty()) {
            seen = true;
            if let Err(error) = rendered(text, template) {
                return Some(Err(error));
            }
        }
    }
    seen.then_some(Ok(()))
}

fn rendered(text: &str, template: &Template) -> Result<(), String> {
    let delimiter = |given: &Option<String>, usual: &str| {
        let given = given.as_deref().filter(|it| !it.is_empty());
        given.unwrap_or(usual).to_owned()
    };
    let options = Options {
        left: delimiter(&template.left_delim, "{{"),
        right: delimiter(&template.right_delim, "}}"),
        error_on_missing_key: false,
        ..Options::default()
    };
    let error = match render(text, &options, &OneOfEach) {
        Ok(rendered) if rendered.missing.is_empty() => return Ok(()),
        Ok(rendered) => return Err(format!("waits for {:?}", rendered.missing)),
        Err(error) => error.to_string(),
    };
    if REFUSALS.iter().any(|it| error.contains(it)) {
        Ok(())
    } else {
        Err(format!("{error} in {text:?}"))
    }
}
