//! The keys that podman takes as they are, under a name of its own.

use serde_json::{Map, Value, json};

use super::config::bytes;
use crate::config::Section;
use crate::error::ConfigError;

/// Key of the job, field of podman's container spec.
type Row = (&'static str, &'static str);

const BOOLEANS: &[Row] = &[
    ("init", "init"),
    ("privileged", "privileged"),
    ("readonly_rootfs", "read_only_filesystem"),
    ("tty", "terminal"),
];

const STRINGS: &[Row] = &[
    ("apparmor_profile", "apparmor_profile"),
    ("init_path", "init_path"),
];

const LISTS: &[Row] = &[
    ("cap_add", "cap_add"),
    ("cap_drop", "cap_drop"),
    ("dns_options", "dns_option"),
    ("dns_search_domains", "dns_search"),
    ("dns_servers", "dns_server"),
    ("extra_hosts", "hostadd"),
    ("group_add", "groups"),
    ("selinux_opts", "selinux_opts"),
];

const NAMESPACES: &[Row] = &[
    ("ipc_mode", "ipcns"),
    ("pid_mode", "pidns"),
    ("userns", "userns"),
    ("userns_mode", "userns"),
    ("uts_mode", "utsns"),
];

/// The fields of podman's container spec that the block sets directly.
pub(super) fn read(section: &Section<'_>) -> Result<Map<String, Value>, ConfigError> {
    let mut fields = Map::new();
    let mut set = |field: &str, value: Value| drop(fields.insert(field.to_owned(), value));
    for (key, field) in BOOLEANS {
        if section.boolean(key)? {
            set(field, true.into());
        }
    }
    for (key, field) in STRINGS {
        if let Some(text) = section.string(key)? {
            set(field, text.into());
        }
    }
    for (key, field) in LISTS {
        let list = section.strings(key)?;
        if !list.is_empty() {
            set(field, list.into());
        }
    }
    for (key, field) in NAMESPACES {
        if let Some(mode) = section.string(key)? {
            set(field, namespace(&mode));
        }
    }
    let sysctl = section.pairs("sysctl")?;
    if !sysctl.is_empty() {
        set("sysctl", json!(sysctl));
    }
    if let Some(score) = section.integer("oom_score_adj")? {
        set("oom_score_adj", score.into());
    }
    if let Some(text) = section.string("shm_size")? {
        let wrong = || section.error("shm_size", format!("{text:?} is not a size such as \"64m\""));
        set("shm_size", bytes(&text).ok_or_else(wrong)?.into());
    }
    for option in section.strings("security_opt")? {
        let known = "use seccomp=, apparmor=, label= or no-new-privileges";
        let (field, value) = security_option(&option)
            .ok_or_else(|| section.error("security_opt", format!("{option:?} is not supported; {known}")))?;
        set(field, value);
    }
    Ok(fields)
}

/// A namespace mode, `mode` or `mode:value`.
pub(super) fn namespace(mode: &str) -> Value {
    let (mode, value) = mode.split_once(':').unwrap_or((mode, ""));
    let mode = if mode == "ns" { "path" } else { mode };
    json!({ "nsmode": mode, "value": value })
}

fn security_option(option: &str) -> Option<(&'static str, Value)> {
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match (name, value) {
        ("no-new-privileges", "" | "true") => Some(("no_new_privileges", true.into())),
        ("no-new-privileges", "false") => Some(("no_new_privileges", false.into())),
        ("seccomp", profile) if !profile.is_empty() => Some(("seccomp_profile_path", profile.into())),
        ("apparmor", profile) if !profile.is_empty() => Some(("apparmor_profile", profile.into())),
        ("label", label) if !label.is_empty() => Some(("selinux_opts", vec![label].into())),
        _ => None,
    }
}
