//! The `config` block of a container task, read and checked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::{AUTH_KEYS, DEVICE_KEYS, KEYS, LOGGING_KEYS, MOUNT_KEYS};
use super::passthrough;
use crate::config::Section;
use crate::error::ConfigError;

/// How long a pull may take when the job does not say; Nomad's figure.
const PULL_TIMEOUT: Duration = Duration::from_secs(300);

/// The block, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PodmanConfig {
    pub(crate) image: ImageConfig,
    /// `command` and `args`.
    pub(crate) command: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) work_dir: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) extra_labels: Vec<String>,
    pub(crate) ports: Vec<String>,
    pub(crate) port_map: BTreeMap<String, u16>,
    pub(crate) network_mode: Option<String>,
    pub(crate) mounts: Vec<MountConfig>,
    pub(crate) tmpfs: Vec<String>,
    pub(crate) devices: Vec<String>,
    pub(crate) logging: Option<String>,
    pub(crate) limits: LimitConfig,
    /// Keys that go to podman as they are.
    pub(crate) plain: Map<String, Value>,
    pub(crate) warnings: Vec<String>,
}

/// Which image, and how to get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageConfig {
    pub(crate) name: String,
    pub(crate) force_pull: bool,
    pub(crate) timeout: Duration,
    pub(crate) auth: Option<(String, String)>,
    pub(crate) tls_verify: Option<bool>,
    pub(crate) arch: Option<String>,
    pub(crate) os: Option<String>,
    pub(crate) variant: Option<String>,
}

/// Limits beyond the task's `resources`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitConfig {
    pub(crate) cpu_hard_limit: bool,
    pub(crate) cpu_cfs_period: Option<i64>,
    pub(crate) memory_hard_limit_mb: Option<i64>,
    pub(crate) memory_reservation: Option<i64>,
    pub(crate) memory_swap: Option<i64>,
    pub(crate) memory_swappiness: Option<i64>,
    pub(crate) pids: Option<i64>,
    /// Name, soft and hard limit.
    pub(crate) ulimits: Vec<(String, i64, i64)>,
}

/// One mount, from a `mount` block or a line of `volumes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountConfig {
    /// The key it came from, for errors.
    pub(crate) key: &'static str,
    pub(crate) kind: MountKind,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) options: Vec<String>,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    Bind,
    Volume,
    Tmpfs,
}

impl PodmanConfig {
    pub(crate) fn read(config: &Map<String, Value>) -> Result<Self, ConfigError> {
        let section = Section::root(config);
        let mut warnings = section.check(KEYS)?;
        let mut command: Vec<String> = section.string("command")?.into_iter().collect();
        command.extend(section.strings("args")?);
        let work_dir = section.string("work_dir")?.or(section.string("working_dir")?);
        Ok(Self {
            image: image(&section, &mut warnings)?,
            command,
            entrypoint: section.strings("entrypoint")?,
            work_dir,
            hostname: section.string("hostname")?,
            labels: section.pairs("labels")?,
            extra_labels: section.strings("extra_labels")?,
            ports: section.strings("ports")?,
            port_map: port_map(&section)?,
            network_mode: section.string("network_mode")?,
            mounts: mounts(&section, &mut warnings)?,
            tmpfs: section.strings("tmpfs")?,
            devices: devices(&section)?,
            logging: logging(&section, &mut warnings)?,
            limits: limits(&section)?,
            plain: passthrough::read(&section)?,
            warnings,
        })
    }
}

fn image(section: &Section<'_>, warnings: &mut Vec<String>) -> Result<ImageConfig, ConfigError> {
    let name = section.required("image", "image = \"redis:7\"")?;
    let name = ["docker://", "https://"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(&name);
    if name.contains(char::is_whitespace) {
        return Err(section.error(
            "image",
            format!("{name:?} is not an image name: it contains a blank"),
        ));
    }
    if ["oci-archive:", "docker-archive:", "oci:", "dir:"]
        .iter()
        .any(|scheme| name.starts_with(scheme))
    {
        let hint = "archives are not read by tasks; run `podman load` on the node and name the image";
        return Err(section.error("image", format!("{name:?}: {hint}")));
    }
    let mut image = ImageConfig {
        name: name.to_owned(),
        timeout: PULL_TIMEOUT,
        ..ImageConfig::default()
    };
    image.force_pull = section.boolean("force_pull")?;
    if let Some(text) = section.string("image_pull_timeout")? {
        let wrong = || {
            section.error(
                "image_pull_timeout",
                format!("{text:?} is not a duration such as \"5m\""),
            )
        };
        image.timeout = duration(&text).ok_or_else(wrong)?;
    }
    for auth in section.sections("auth")? {
        warnings.extend(auth.check(AUTH_KEYS)?);
        let (username, password) = (auth.string("username")?, auth.string("password")?);
        image.auth = username.map(|username| (username, password.unwrap_or_default()));
        if auth.string("tls_verify")?.is_some() {
            image.tls_verify = Some(auth.boolean("tls_verify")?);
        }
    }
    image.arch = section.string("arch")?;
    image.os = section.string("os")?;
    image.variant = section.string("variant")?;
    Ok(image)
}

fn port_map(section: &Section<'_>) -> Result<BTreeMap<String, u16>, ConfigError> {
    let port = |(label, text): (String, String)| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok((label, port)),
        _ => Err(section.error("port_map", format!("{label} must be a port number, not {text:?}"))),
    };
    section.pairs("port_map")?.into_iter().map(port).collect()
}

fn mounts(section: &Section<'_>, warnings: &mut Vec<String>) -> Result<Vec<MountConfig>, ConfigError> {
    let mut mounts = Vec::new();
    for key in ["mount", "mounts"] {
        for block in section.sections(key)? {
            warnings.extend(block.check(MOUNT_KEYS)?);
            mounts.push(mount(key, &block)?);
        }
    }
    for line in section.strings("volumes")? {
        mounts.push(volume(section, &line)?);
    }
    Ok(mounts)
}

fn mount(key: &'static str, block: &Section<'_>) -> Result<MountConfig, ConfigError> {
    let kind = match block.string("type")?.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") | None => MountKind::Volume,
        Some("tmpfs") => MountKind::Tmpfs,
        Some(other) => {
            return Err(block.error("type", format!("must be bind, volume or tmpfs, not {other:?}")));
        }
    };
    let source = match kind {
        MountKind::Bind => block.required("source", "source = \"local/app.conf\"")?,
        _ => block.string("source")?.unwrap_or_default(),
    };
    let target = absolute(
        block,
        "target",
        block.required("target", "target = \"/etc/app.conf\"")?,
    )?;
    let mut options = Vec::new();
    if block.boolean("readonly")? {
        options.push("ro".to_owned());
    }
    for bind in block.sections("bind_options")? {
        options.extend(bind.string("propagation")?);
    }
    for tmpfs in block.sections("tmpfs_options")? {
        options.extend(
            tmpfs
                .integer("size")?
                .filter(|size| *size > 0)
                .map(|size| format!("size={size}")),
        );
        options.extend(
            tmpfs
                .integer("mode")?
                .filter(|mode| *mode > 0)
                .map(|mode| format!("mode={mode:o}")),
        );
    }
    Ok(MountConfig {
        key,
        kind,
        source,
        target,
        options,
    })
}

/// `source:target[:option,option]`.
fn volume(section: &Section<'_>, line: &str) -> Result<MountConfig, ConfigError> {
    let parts: Vec<&str> = line.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, *options),
        _ => return Err(section.error("volumes", format!("{line:?} must be \"source:target[:ro]\""))),
    };
    if source.is_empty() {
        return Err(section.error(
            "volumes",
            format!("{line:?} has no source: write \"source:target[:ro]\""),
        ));
    }
    let target = absolute(section, "volumes", (*target).to_owned())?;
    // SELinux relabelling and the rest are podman's own words already.
    let options = options
        .split(',')
        .filter(|option| !option.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(MountConfig {
        key: "volumes",
        kind: MountKind::Bind,
        source: (*source).to_owned(),
        target,
        options,
    })
}

fn absolute(section: &Section<'_>, key: &str, path: String) -> Result<String, ConfigError> {
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(section.error(
        key,
        format!("{path:?} must be an absolute path inside the container"),
    ))
}

/// Devices as podman writes them, from strings or docker's blocks.
fn devices(section: &Section<'_>) -> Result<Vec<String>, ConfigError> {
    if let Ok(lines) = section.strings("devices") {
        return Ok(lines);
    }
    let mut devices = Vec::new();
    for block in section.sections("devices")? {
        block.check(DEVICE_KEYS)?;
        let host = block.required("host_path", "host_path = \"/dev/ttyUSB0\"")?;
        let inside = block.string("container_path")?.unwrap_or_else(|| host.clone());
        let permissions = block
            .string("cgroup_permissions")?
            .unwrap_or_else(|| "rwm".to_owned());
        devices.push(format!("{host}:{inside}:{permissions}"));
    }
    Ok(devices)
}

/// The log driver, when the job wants one instead of log files.
fn logging(section: &Section<'_>, warnings: &mut Vec<String>) -> Result<Option<String>, ConfigError> {
    for block in section.sections("logging")? {
        warnings.extend(block.check(LOGGING_KEYS)?);
        match block.string("driver")?.or(block.string("type")?).as_deref() {
            None | Some("nomad" | "json-file" | "k8s-file" | "local") => {}
            Some(driver @ ("journald" | "none")) => return Ok(Some(driver.to_owned())),
            Some(other) => warnings.push(format!(
                "config.logging.driver: podman has no {other:?}; the task's output goes to its log files"
            )),
        }
    }
    Ok(None)
}

fn limits(section: &Section<'_>) -> Result<LimitConfig, ConfigError> {
    let size = |key: &str| -> Result<Option<i64>, ConfigError> {
        let Some(text) = section.string(key)? else {
            return Ok(None);
        };
        let wrong = || section.error(key, format!("{text:?} is not a size such as \"64m\""));
        bytes(&text).map(Some).ok_or_else(wrong)
    };
    let mut ulimits = Vec::new();
    for (name, text) in section.pairs("ulimit")? {
        let (soft, hard) = text.split_once(':').unwrap_or((&text, &text));
        let (Ok(soft), Ok(hard)) = (soft.parse(), hard.parse()) else {
            let problem = format!("{name} must be \"soft:hard\" or one number, not {text:?}");
            return Err(section.error("ulimit", problem));
        };
        ulimits.push((name, soft, hard));
    }
    Ok(LimitConfig {
        cpu_hard_limit: section.boolean("cpu_hard_limit")?,
        cpu_cfs_period: section.integer("cpu_cfs_period")?,
        memory_hard_limit_mb: section.integer("memory_hard_limit")?.filter(|limit| *limit > 0),
        memory_reservation: size("memory_reservation")?,
        memory_swap: size("memory_swap")?,
        memory_swappiness: section.integer("memory_swappiness")?,
        pids: section.integer("pids_limit")?.filter(|limit| *limit > 0),
        ulimits,
    })
}

/// A size in bytes: a number with an optional b, k, m or g.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &lower[number.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number
        .trim()
        .parse::<i64>()
        .ok()
        .filter(|size| *size >= 0)?
        .checked_mul(1 << shift)
}

/// A duration such as `90s`, `5m` or `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len() - digits);
        total += match &rest[digits..digits + unit] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        rest = &rest[digits + unit..];
    }
    Some(total).filter(|total| !total.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: Value) -> Result<PodmanConfig, String> {
        PodmanConfig::read(config.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_run_is_refused_with_the_key_and_a_way_out() {
        let refused = [
            (
                json!({}),
                "config.image: is required, for example image = \"redis:7\"",
            ),
            (
                json!({"image": "a b"}),
                "config.image: \"a b\" is not an image name",
            ),
            (
                json!({"image": "docker-archive:/x.tar"}),
                "run `podman load` on the node",
            ),
            (
                json!({"image": "a", "imgae": 1}),
                "config.imgae: is unknown; did you mean \"image\"?",
            ),
            (
                json!({"image": "a", "runtime": "x"}),
                "config.runtime: is not supported yet: the node's",
            ),
            (
                json!({"image": "a", "mount": {"type": "npipe"}}),
                "config.mount.type: must be bind, volume or tmpfs",
            ),
            (
                json!({"image": "a", "mount": {"type": "bind", "target": "/x"}}),
                "config.mount.source: is required",
            ),
            (
                json!({"image": "a", "volumes": ["x"]}),
                "config.volumes: \"x\" must be \"source:target[:ro]\"",
            ),
            (
                json!({"image": "a", "volumes": ["x:y"]}),
                "config.volumes: \"y\" must be an absolute path",
            ),
            (
                json!({"image": "a", "port_map": {"web": "http"}}),
                "config.port_map: web must be a port number",
            ),
            (
                json!({"image": "a", "ulimit": {"nofile": "x"}}),
                "config.ulimit: nofile must be",
            ),
            (
                json!({"image": "a", "shm_size": "big"}),
                "config.shm_size: \"big\" is not a size",
            ),
            (
                json!({"image": "a", "security_opt": ["x=y"]}),
                "config.security_opt: \"x=y\" is not supported",
            ),
            (
                json!({"image": "a", "image_pull_timeout": "soon"}),
                "config.image_pull_timeout: \"soon\" is not a",
            ),
        ];
        for (config, message) in refused {
            let error = read(config).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn blocks_may_come_as_objects_or_lists_of_objects() {
        let mount = json!({"type": "bind", "source": "local/a", "target": "/a", "readonly": "true"});
        for mounts in [
            json!({"image": "a", "mount": mount}),
            json!({"image": "a", "mount": [mount]}),
        ] {
            let config = read(mounts).unwrap();
            assert_eq!(config.mounts[0].source, "local/a");
            assert_eq!(config.mounts[0].options, ["ro"]);
        }
    }

    #[test]
    fn sizes_and_durations_are_read() {
        for (text, size) in [
            ("64m", Some(64 << 20)),
            ("1024", Some(1024)),
            ("2gb", Some(2 << 30)),
            ("x", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
        for (text, seconds) in [
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("5", None),
            ("", None),
            ("5x", None),
        ] {
            assert_eq!(
                duration(text).map(|duration| duration.as_secs()),
                seconds,
                "{text}"
            );
        }
    }

    #[test]
    fn keys_without_effect_become_warnings() {
        let config = json!({"image": "a", "auth_soft_fail": true, "logging": {"driver": "splunk"}});
        let warnings = read(config).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
