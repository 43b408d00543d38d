//! The `config` block of raw_exec tasks and the operator's options.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::config::{ConfigKey, Section};
use crate::error::{ConfigError, StartError};
use crate::task::TaskSpec;

/// What a task gets when it has no PATH of its own.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Every key of the `config` block.
pub(crate) const KEYS: &[ConfigKey] = &[
    ConfigKey::full(
        "command",
        "program: absolute, in the task directory, or found in PATH",
    ),
    ConfigKey::full("args", "its arguments"),
    ConfigKey::full(
        "work_dir",
        "directory it starts in; the task directory by default",
    ),
    ConfigKey::full("oom_score_adj", "who the kernel kills first when memory runs out"),
    ConfigKey::full(
        "denied_envvars",
        "variables that are not passed on; `*` matches any ending",
    ),
    ConfigKey::missing(
        "cgroup_v1_override",
        "raw_exec tasks stay in the agent's control group",
    ),
    ConfigKey::missing(
        "cgroup_v2_override",
        "raw_exec tasks stay in the agent's control group",
    ),
];

const OPTIONS: &[ConfigKey] = &[ConfigKey::full(
    "enabled",
    "whether the node runs raw_exec tasks; true by default",
)];

/// Whether the operator lets this node run raw_exec tasks.
pub(crate) fn enabled(options: &Map<String, Value>) -> Result<bool, ConfigError> {
    let options_section = Section::root(options);
    options_section.check(OPTIONS)?;
    if options.contains_key("enabled") {
        options_section.boolean("enabled")
    } else {
        Ok(true)
    }
}

/// The block, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawExecConfig {
    command: String,
    pub(crate) args: Vec<String>,
    work_dir: Option<PathBuf>,
    pub(crate) oom_score_adj: Option<i64>,
    denied: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl RawExecConfig {
    pub(crate) fn read(config: &Map<String, Value>) -> Result<Self, ConfigError> {
        let section = Section::root(config);
        let warnings = section.check(KEYS)?;
        let oom_score_adj = section.integer("oom_score_adj")?;
        if oom_score_adj.is_some_and(|score| !(-1000..=1000).contains(&score)) {
            return Err(section.error("oom_score_adj", "must be from -1000 to 1000"));
        }
        Ok(Self {
            command: section.required("command", "command = \"/usr/bin/env\"")?,
            args: section.strings("args")?,
            work_dir: section.string("work_dir")?.map(PathBuf::from),
            oom_score_adj,
            denied: section.strings("denied_envvars")?,
            warnings,
        })
    }

    /// Where the program starts.
    pub(crate) fn work_dir(&self, spec: &TaskSpec) -> PathBuf {
        self.work_dir
            .as_ref()
            .map_or_else(|| spec.task_dir.clone(), |dir| spec.task_dir.join(dir))
    }

    /// The environment: the task's own and a PATH.
    pub(crate) fn environment(&self, spec: &TaskSpec) -> BTreeMap<String, String> {
        let mut env = spec.env.clone();
        env.entry("PATH".to_owned())
            .or_insert_with(|| DEFAULT_PATH.to_owned());
        env.retain(|name, _| !self.denied.iter().any(|pattern| matches(pattern, name)));
        env
    }

    /// The program's path: in the task directory first, as Nomad looks it up, then in PATH.
    pub(crate) fn program(&self, spec: &TaskSpec) -> Result<PathBuf, StartError> {
        let command = Path::new(&self.command);
        let inside = [
            spec.task_dir.join("local").join(command),
            spec.task_dir.join(command),
        ];
        let path = spec.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        let searched: Vec<PathBuf> = if command.is_absolute() {
            vec![command.to_owned()]
        } else if self.command.contains('/') {
            inside.into()
        } else {
            inside
                .into_iter()
                .chain(path.split(':').map(|dir| Path::new(dir).join(command)))
                .collect()
        };
        if let Some(found) = searched.iter().find(|candidate| is_program(candidate)) {
            return Ok(found.clone());
        }
        if let Some(plain) = searched.iter().find(|candidate| candidate.is_file()) {
            let message = format!(
                "config.command: {} is not executable; run chmod +x on it",
                plain.display()
            );
            return Err(StartError::permanent(message));
        }
        let message = format!(
            "config.command: there is no program {:?} in the task's directory or in {path}; install it on the node or \
             bring it along as an artifact",
            self.command
        );
        Err(StartError::permanent(message))
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// The numeric user and group of a task's `user`: a name of `/etc/passwd`, a number, or `user:group` numbers.
pub(crate) fn user_ids(user: &str) -> Result<(u32, u32), StartError> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    find_user(user, &passwd).ok_or_else(|| {
        StartError::permanent(format!(
            "user: {user:?} does not exist on this node; create it or correct the job"
        ))
    })
}

fn find_user(user: &str, passwd: &str) -> Option<(u32, u32)> {
    if let Some((uid, gid)) = user.split_once(':') {
        return Some((uid.parse().ok()?, gid.parse().ok()?));
    }
    let entries = passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ids = (
            fields.get(2)?.parse::<u32>().ok()?,
            fields.get(3)?.parse::<u32>().ok()?,
        );
        Some((*fields.first()?, ids))
    });
    let number = user.parse::<u32>().ok();
    let mut matching = entries.filter(|(name, ids)| *name == user || Some(ids.0) == number);
    matching
        .next()
        .map(|(_, ids)| ids)
        .or_else(|| number.map(|uid| (uid, uid)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_block_is_read_and_refused_with_the_key() {
        let read = |value: Value| RawExecConfig::read(value.as_object().unwrap());
        let config = read(json!({"command": "sleep", "args": ["1", 2], "work_dir": "local"})).unwrap();
        assert_eq!(config.args, ["1", "2"]);
        let refused = [
            (json!({}), "config.command: is required"),
            (
                json!({"comand": "x"}),
                "config.comand: is unknown; did you mean \"command\"?",
            ),
            (
                json!({"command": "x", "oom_score_adj": 5000}),
                "config.oom_score_adj: must be from -1000 to 1000",
            ),
            (
                json!({"command": "x", "cgroup_v2_override": "y"}),
                "is not supported yet",
            ),
        ];
        for (config, message) in refused {
            let error = read(config).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:/bin/false\n";
        for (user, ids) in [
            ("root", Some((0, 0))),
            ("web", Some((33, 34))),
            ("33", Some((33, 34))),
            ("77", Some((77, 77))),
            ("5:6", Some((5, 6))),
            ("nobody-here", None),
        ] {
            assert_eq!(find_user(user, passwd), ids, "{user}");
        }
    }

    #[test]
    fn denied_variables_match_by_prefix() {
        assert!(matches("NOMAD_*", "NOMAD_TOKEN") && matches("A", "A") && !matches("A", "AB"));
    }
}
