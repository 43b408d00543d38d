//! Templates: rendered from the last known services, written where the task finds them.
//!
//! Owns: sources, destinations, what counts as changed, and environment files. Deliberately does not know when to render
//! again nor what a change does. Nothing here ever deletes a file: what was rendered last stays, with or without contact.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use holdfast_agent_core::{Rendered, RenderedFile};
use holdfast_shared::model::Template;
use holdfast_shared::wire::Catalog;
use holdfast_template::{Data, Lookup, Options, ServiceInstance, ServiceSummary, Variable, Want};

use crate::sandbox::{FileOptions, SandboxError};
use crate::spec::SpecError;
use crate::taskdir::TaskDir;
use crate::taskenv::{Paths, Subject, TaskEnv};

/// Why the templates of a task cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template itself is wrong.
    #[error("template for {destination:?}: {source}")]
    Template {
        /// Where it would go.
        destination: String,
        /// What is wrong.
        source: holdfast_template::TemplateError,
    },
    /// Source or destination cannot be used.
    #[error("template for {destination:?}: {source}")]
    File {
        /// Where it would go.
        destination: String,
        /// What is wrong.
        source: SandboxError,
    },
    /// There is no template.
    #[error("template for {0:?}: its source is not there")]
    NoSource(String),
    /// The path belongs to another task.
    #[error("template for {0:?}: only the task's own and the shared directory may be used")]
    Foreign(String),
    /// The permissions are no octal number.
    #[error(
        "template for {destination:?}: {perms:?} are no permissions; an octal number like 0644 is expected"
    )]
    Perms {
        /// Where it would go.
        destination: String,
        /// What was given.
        perms: String,
    },
}

/// A template, prepared so that it can be rendered without the core.
#[derive(Debug)]
struct Draft {
    position: usize,
    destination: String,
    target: PathBuf,
    source: Source,
    once: bool,
    file: FileOptions,
    options: Options,
}

#[derive(Debug)]
enum Source {
    Text(String),
    File(PathBuf),
}

/// What drafts came to, each with its text.
type Texts<'a> = Vec<(&'a Draft, String)>;

/// The templates of a task, and what they are rendered from: everything that is needed, so that the work can be done
/// beside the agent's loop.
#[derive(Debug)]
pub struct Rendering {
    drafts: Vec<Draft>,
    dir: TaskDir,
    namespace: String,
    catalog: Catalog,
}

impl Rendering {
    /// Takes together what the templates of `subject` need. `now_ms` is the wall clock.
    ///
    /// # Errors
    /// When a path or the permissions make no sense.
    pub fn new(
        subject: Subject<'_>,
        dir: &TaskDir,
        catalog: &Catalog,
        now_ms: i64,
    ) -> Result<Self, RenderError> {
        let env = TaskEnv::build(subject, &Paths::inside(subject.task, dir), BTreeMap::new());
        let host = TaskEnv::build(subject, &Paths::on_host(dir), BTreeMap::new());
        let options = Options {
            env: env.vars,
            sandbox: Some(dir.path()),
            now_ms,
            ..Options::default()
        };
        let drafts = subject.task.templates().iter().enumerate();
        let drafts = drafts.map(|(position, template)| Draft::new(position, template, dir, &host, &options));
        Ok(Self {
            drafts: drafts.collect::<Result<_, _>>()?,
            dir: dir.clone(),
            namespace: subject.job.namespace().to_owned(),
            catalog: catalog.clone(),
        })
    }

    /// Renders, and writes what changed unless data are missing for any of them. Blocks on the disk.
    ///
    /// # Errors
    /// When a template is wrong, or a file cannot be read or written.
    pub fn run(&self) -> Result<Rendered, RenderError> {
        let (mut outcome, texts) = self.render()?;
        if outcome.missing.is_empty() {
            for (draft, text) in texts {
                if draft.write(&self.dir, text.as_bytes())? {
                    outcome.changed.push(RenderedFile {
                        template: draft.position,
                    });
                }
            }
        }
        Ok(outcome)
    }

    /// Finds out what the templates ask for, and writes nothing.
    ///
    /// # Errors
    /// When a template is wrong, or a source cannot be read.
    pub fn survey(&self) -> Result<Rendered, RenderError> {
        Ok(self.render()?.0)
    }

    fn render(&self) -> Result<(Rendered, Texts<'_>), RenderError> {
        let data = Known {
            catalog: &self.catalog,
            namespace: &self.namespace,
        };
        let mut outcome = Rendered::default();
        let mut missing = BTreeSet::new();
        let mut texts = Vec::new();
        for draft in &self.drafts {
            let rendered = draft.render(&self.dir, &data)?;
            for want in &rendered.wants {
                match want {
                    Want::Service(name) => {
                        outcome.services.insert((self.namespace.clone(), name.clone()));
                    }
                    Want::Services => {
                        outcome.namespaces.insert(self.namespace.clone());
                    }
                    Want::Variable(_) | Want::Variables(_) => {}
                }
            }
            missing.extend(rendered.missing.iter().map(ToString::to_string));
            texts.push((draft, rendered.text));
        }
        outcome.missing = missing.into_iter().collect();
        Ok((outcome, texts))
    }
}

impl Draft {
    fn new(
        position: usize,
        template: &Template,
        dir: &TaskDir,
        host: &TaskEnv,
        options: &Options,
    ) -> Result<Self, RenderError> {
        let destination = host
            .interpolate(template.dest_path.as_deref().unwrap_or_default())
            .into_owned();
        let source = match (template.embedded_tmpl.as_deref(), template.source_path.as_deref()) {
            (Some(text), _) if !text.is_empty() => Source::Text(text.to_owned()),
            (_, Some(path)) if !path.is_empty() => {
                Source::File(resolve(dir, &destination, &host.interpolate(path))?)
            }
            _ => Source::Text(String::new()),
        };
        let perms = template
            .perms
            .as_deref()
            .filter(|perms| !perms.is_empty())
            .unwrap_or("0644");
        let mode = u32::from_str_radix(perms, 8).ok().filter(|mode| *mode <= 0o7777);
        let mode = mode.ok_or_else(|| RenderError::Perms {
            destination: destination.clone(),
            perms: perms.to_owned(),
        })?;
        let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        let delimiter = |text: &Option<String>, default: &str| {
            text.clone()
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| default.to_owned())
        };
        Ok(Self {
            position,
            target: resolve(dir, &destination, &destination)?,
            source,
            once: template.once.unwrap_or(false),
            file: FileOptions {
                mode,
                owner: (id(template.uid), id(template.gid)),
            },
            options: Options {
                left: delimiter(&template.left_delim, "{{"),
                right: delimiter(&template.right_delim, "}}"),
                error_on_missing_key: template.err_missing_key.unwrap_or(false),
                ..options.clone()
            },
            destination,
        })
    }

    fn render(&self, dir: &TaskDir, data: &dyn Data) -> Result<holdfast_template::Rendered, RenderError> {
        let text = match &self.source {
            Source::Text(text) => text.clone(),
            Source::File(path) => {
                let bytes = dir
                    .sandbox()
                    .read(path)
                    .map_err(|source| self.file_error(source))?;
                let bytes = bytes.ok_or_else(|| RenderError::NoSource(self.destination.clone()))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        let fail = |source| RenderError::Template {
            destination: self.destination.clone(),
            source,
        };
        holdfast_template::render(&text, &self.options, data).map_err(fail)
    }

    /// Writes `text` when the file holds something else; answers whether it did.
    fn write(&self, dir: &TaskDir, text: &[u8]) -> Result<bool, RenderError> {
        let sandbox = dir.sandbox();
        // A link or worse at the destination is no reason to fail: it is replaced.
        let old = sandbox.read(&self.target).unwrap_or_default();
        if old.as_deref() == Some(text) || (self.once && old.is_some()) {
            return Ok(false);
        }
        sandbox
            .write(&self.target, text, self.file)
            .map_err(|source| self.file_error(source))?;
        Ok(true)
    }

    fn file_error(&self, source: SandboxError) -> RenderError {
        RenderError::File {
            destination: self.destination.clone(),
            source,
        }
    }
}

/// The variables that templates with `env = true` rendered, as they are on disk. What is not there (yet) adds nothing.
///
/// # Errors
/// When a file is there and holds something else.
pub fn rendered_env(subject: Subject<'_>, dir: &TaskDir) -> Result<BTreeMap<String, String>, SpecError> {
    let host = TaskEnv::build(subject, &Paths::on_host(dir), BTreeMap::new());
    let mut vars = BTreeMap::new();
    for template in subject
        .task
        .templates()
        .iter()
        .filter(|template| template.envvars.unwrap_or(false))
    {
        let destination = host
            .interpolate(template.dest_path.as_deref().unwrap_or_default())
            .into_owned();
        let wrong = |reason: String| SpecError::EnvFile {
            destination: destination.clone(),
            reason,
        };
        let path = resolve(dir, &destination, &destination).map_err(|error| wrong(error.to_string()))?;
        let Some(bytes) = dir
            .sandbox()
            .read(&path)
            .map_err(|error| wrong(error.to_string()))?
        else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        vars.extend(holdfast_template::parse_env_file(&text).map_err(|error| wrong(error.to_string()))?);
    }
    Ok(vars)
}

fn resolve(dir: &TaskDir, destination: &str, path: &str) -> Result<PathBuf, RenderError> {
    let resolved = dir.sandbox().resolve(Path::new(&dir.task), Path::new(path));
    let resolved = resolved.map_err(|source| RenderError::File {
        destination: destination.to_owned(),
        source,
    })?;
    if dir.may_use(&resolved) {
        Ok(resolved)
    } else {
        Err(RenderError::Foreign(destination.to_owned()))
    }
}

/// What is known: the catalog, seen from one namespace.
struct Known<'a> {
    catalog: &'a Catalog,
    namespace: &'a str,
}

impl Data for Known<'_> {
    fn services(&self) -> Option<Vec<ServiceSummary>> {
        let known = self
            .catalog
            .services
            .iter()
            .filter(|service| service.namespace == self.namespace);
        let summaries = known
            .filter(|service| !service.instances.is_empty())
            .map(|service| {
                let tags: BTreeSet<&String> = service
                    .instances
                    .iter()
                    .flat_map(|instance| &instance.tags)
                    .collect();
                ServiceSummary {
                    name: service.name.clone(),
                    tags: tags.into_iter().cloned().collect(),
                }
            });
        // Revision 0 is the catalog of a node that was never told anything.
        (self.catalog.revision > 0).then(|| summaries.collect())
    }

    fn service(&self, name: &str) -> Option<Vec<ServiceInstance>> {
        let service = self
            .catalog
            .services
            .iter()
            .find(|it| it.namespace == self.namespace && it.name == name)
            // A service without an instance does not exist yet: the template waits for it, or keeps what it has.
            .filter(|it| !it.instances.is_empty())?;
        let instances = service.instances.iter().map(|instance| ServiceInstance {
            id: instance.id.clone(),
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            node_id: instance.node.to_string(),
            datacenter: instance.datacenter.clone(),
            job_id: instance.job.clone(),
            alloc_id: instance.alloc.to_string(),
            tags: instance.tags.clone(),
            address: instance.address.clone(),
            port: instance.port,
        });
        Some(instances.collect())
    }

    fn variable(&self, _: &str) -> Lookup<Variable> {
        // Variables do not travel to nodes yet; a template that reads one waits and says for what.
        Lookup::NotYet
    }

    fn variables(&self, _: &str) -> Option<Vec<Variable>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use holdfast_shared::id::{AllocId, NodeId};
    use holdfast_shared::model::Job as ModelJob;
    use holdfast_shared::wire::{CatalogService, ServiceInstance as Instance};
    use serde_json::{Value, json};

    use super::*;
    use crate::taskdir::AllocDirs;
    use crate::taskenv::tests::{job, node, record};

    struct Bench {
        _data: tempfile::TempDir,
        job: ModelJob,
        dir: TaskDir,
    }

    impl Bench {
        fn new(templates: Value) -> Self {
            let data = tempfile::tempdir().unwrap();
            let mut job = job("docker");
            job.task_groups.as_mut().unwrap()[0].tasks.as_mut().unwrap()[0].templates =
                serde_json::from_value(templates).unwrap();
            let alloc = AllocDirs::new(data.path()).of(record(&job).assigned.id);
            alloc.prepare(&job.groups()[0]).unwrap();
            Self {
                _data: data,
                dir: alloc.task("api"),
                job,
            }
        }

        fn with<T>(&self, act: impl FnOnce(Subject<'_>) -> T) -> T {
            let (record, node, group) = (record(&self.job), node(), &self.job.groups()[0]);
            act(Subject {
                record: &record,
                job: &self.job,
                group,
                task: &group.tasks()[0],
                node: &node,
            })
        }

        fn render(&self, catalog: &Catalog) -> Result<Rendered, String> {
            let rendering = self.with(|subject| Rendering::new(subject, &self.dir, catalog, 0));
            rendering
                .and_then(|it| it.run())
                .map_err(|error| error.to_string())
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.dir.path().join(path)).unwrap()
        }
    }

    fn catalog(addresses: &[&str]) -> Catalog {
        let instance = |address: &&str| Instance {
            id: format!("_{address}"),
            node: NodeId(1),
            datacenter: "dc1".into(),
            job: "db".into(),
            alloc: AllocId(1),
            tags: vec!["a".into()],
            address: (*address).to_owned(),
            port: 5432,
        };
        let service = CatalogService {
            namespace: "default".into(),
            name: "db".into(),
            instances: addresses.iter().map(instance).collect(),
        };
        Catalog {
            revision: 1,
            services: vec![service],
        }
    }

    const SERVICE: &str = "{{ range nomadService \"db\" }}\nDB=\"{{ .Address }}:{{ .Port }}\"\n{{ end }}";

    #[test]
    fn a_template_waits_for_its_service_and_keeps_what_it_had_when_nothing_comes() {
        let bench =
            Bench::new(json!([{"EmbeddedTmpl": SERVICE, "DestPath": "local/env.txt", "Envvars": true}]));
        let first = bench.render(&Catalog::default()).unwrap();
        assert_eq!(first.missing, ["service \"db\""]);
        assert_eq!(first.services, [("default".to_owned(), "db".to_owned())].into());
        assert!(!bench.dir.local().join("env.txt").exists());

        let known = bench.render(&catalog(&["10.0.0.1"])).unwrap();
        assert_eq!(known.changed, [RenderedFile { template: 0 }]);
        assert!(bench.render(&catalog(&["10.0.0.1"])).unwrap().changed.is_empty());
        let env = bench.with(|subject| rendered_env(subject, &bench.dir)).unwrap();
        assert_eq!(env["DB"], "10.0.0.1:5432");

        // Whether the service has no instance left or nothing is known: the file stays.
        bench.render(&catalog(&["10.0.0.2"])).unwrap();
        for nothing in [catalog(&[]), Catalog::default()] {
            assert_eq!(bench.render(&nothing).unwrap().missing, ["service \"db\""]);
        }
        assert!(bench.read("local/env.txt").contains("10.0.0.2"));
    }

    #[test]
    fn templates_see_the_environment_with_names_made_fit() {
        let text = "{{ env \"NOMAD_PORT_product_api\" }} {{ env \"NOMAD_TASK_DIR\" }}";
        let bench = Bench::new(
            json!([{"EmbeddedTmpl": text, "DestPath": "${NOMAD_SECRETS_DIR}/x", "Perms": "0600"}]),
        );
        bench.render(&Catalog::default()).unwrap();
        assert_eq!(bench.read("secrets/x"), "9090 /local");
    }

    #[test]
    fn nothing_is_written_while_one_of_several_waits() {
        let bench = Bench::new(json!([
            {"EmbeddedTmpl": "plain", "DestPath": "local/a"},
            {"EmbeddedTmpl": SERVICE, "DestPath": "local/b"}
        ]));
        assert_eq!(bench.render(&Catalog::default()).unwrap().missing.len(), 1);
        assert!(!bench.dir.local().join("a").exists());
    }

    #[test]
    fn sources_and_destinations_stay_where_they_belong() {
        for (template, error) in [
            (
                json!({"EmbeddedTmpl": "x", "DestPath": "../../../etc/x"}),
                "leads out of",
            ),
            (
                json!({"EmbeddedTmpl": "x", "DestPath": "../other/local/x"}),
                "only the task's own",
            ),
            (
                json!({"SourcePath": "local/none", "DestPath": "local/x"}),
                "its source is not there",
            ),
            (
                json!({"SourcePath": "/../../../etc/passwd", "DestPath": "local/x"}),
                "leads out of",
            ),
            (
                json!({"EmbeddedTmpl": "x", "DestPath": "local/x", "Perms": "rw"}),
                "are no permissions",
            ),
            (
                json!({"EmbeddedTmpl": "{{ nope }}", "DestPath": "local/x"}),
                "nope",
            ),
        ] {
            let message = Bench::new(json!([template]))
                .render(&Catalog::default())
                .unwrap_err();
            assert!(message.contains(error), "{message}");
        }
        let shared = Bench::new(json!([{"EmbeddedTmpl": "x", "DestPath": "../alloc/data/x"}]));
        assert_eq!(shared.render(&Catalog::default()).unwrap().changed.len(), 1);
    }
}
