//! The table of `config` keys: those of Nomad's docker and podman drivers, and what becomes of each here.

use crate::config::ConfigKey;

/// Every key of the `config` block, by name.
pub(crate) const KEYS: &[ConfigKey] = &[
    ConfigKey::missing(
        "advertise_ipv6_address",
        "services are advertised with the node's address",
    ),
    ConfigKey::full("apparmor_profile", "AppArmor profile"),
    ConfigKey::full("arch", "architecture of the image to pull"),
    ConfigKey::full("args", "arguments after `command`, or for the image's entrypoint"),
    ConfigKey::full("auth", "username and password (and tls_verify) for the registry"),
    ConfigKey::ignored(
        "auth_soft_fail",
        "there are no credential helpers that could fail",
    ),
    ConfigKey::full("cap_add", "capabilities to add"),
    ConfigKey::full("cap_drop", "capabilities to drop"),
    ConfigKey::missing("cgroupns", "containers get a private cgroup namespace"),
    ConfigKey::full("command", "program to run instead of the image's command"),
    ConfigKey::missing(
        "container_exists_attempts",
        "a leftover container of the task is replaced at once",
    ),
    ConfigKey::full("cpu_cfs_period", "period of the hard limit, microseconds"),
    ConfigKey::full("cpu_hard_limit", "never more than the task's cpu share"),
    ConfigKey::full(
        "devices",
        "host devices: \"/dev/x[:/dev/y[:rwm]]\" or blocks with host_path",
    ),
    ConfigKey::full("dns_options", "options of resolv.conf"),
    ConfigKey::full("dns_search_domains", "search domains"),
    ConfigKey::full("dns_servers", "name servers"),
    ConfigKey::full("entrypoint", "replaces the image's entrypoint"),
    ConfigKey::full("extra_hosts", "lines for /etc/hosts: \"name:address\""),
    ConfigKey::full(
        "extra_labels",
        "nomad-style labels to add (job_name, task_group_name, …)",
    ),
    ConfigKey::full(
        "force_pull",
        "asks the registry even when the image is on the node",
    ),
    ConfigKey::full("group_add", "supplementary groups"),
    ConfigKey::ignored(
        "healthchecks",
        "the image's own health check is never run; use `check` blocks",
    ),
    ConfigKey::full("hostname", "host name inside the container"),
    ConfigKey::full("image", "image to run"),
    ConfigKey::full("image_pull_timeout", "how long a pull may take, \"5m\""),
    ConfigKey::full("init", "runs an init process that reaps orphans"),
    ConfigKey::full("init_path", "that init process's program"),
    ConfigKey::ignored("interactive", "a task has no terminal to type at"),
    ConfigKey::full(
        "ipc_mode",
        "IPC namespace: private, host, none, shareable or container:NAME",
    ),
    ConfigKey::missing("ipv4_address", "addresses are assigned by podman"),
    ConfigKey::missing("ipv6_address", "addresses are assigned by podman"),
    ConfigKey::missing("isolation", "is for Windows"),
    ConfigKey::full("labels", "labels of the container"),
    ConfigKey::missing("load", "load the image with `podman load` on the node"),
    ConfigKey::full(
        "logging",
        "driver: none or journald instead of log files; other drivers have no effect",
    ),
    ConfigKey::missing("mac_address", "addresses are assigned by podman"),
    ConfigKey::full(
        "memory_hard_limit",
        "memory limit in MiB; resources.memory is then what is reserved",
    ),
    ConfigKey::full("memory_reservation", "memory kept under pressure, \"64m\""),
    ConfigKey::full("memory_swap", "memory and swap together, \"256m\""),
    ConfigKey::full("memory_swappiness", "0 to 100"),
    ConfigKey::full(
        "mount",
        "blocks: type = bind, volume or tmpfs; source; target; readonly",
    ),
    ConfigKey::full("mounts", "the same as a list"),
    ConfigKey::missing("network_aliases", "use service discovery"),
    ConfigKey::full(
        "network_mode",
        "bridge, host, none, slirp4netns, container:NAME or a podman network",
    ),
    ConfigKey::full("oom_score_adj", "who the kernel kills first when memory runs out"),
    ConfigKey::full("os", "operating system of the image to pull"),
    ConfigKey::full("pid_mode", "PID namespace: private or host"),
    ConfigKey::full("pids_limit", "number of processes"),
    ConfigKey::full("port_map", "container ports by label, for ports without `to`"),
    ConfigKey::full("ports", "labels of the ports to publish"),
    ConfigKey::full("privileged", "all capabilities and devices"),
    ConfigKey::full("readonly_rootfs", "the image's files cannot be changed"),
    ConfigKey::missing("runtime", "the node's containers.conf chooses it"),
    ConfigKey::full("security_opt", "seccomp=, apparmor=, label=, no-new-privileges"),
    ConfigKey::full("selinux_opts", "SELinux label options"),
    ConfigKey::full("shm_size", "size of /dev/shm, bytes or \"64m\""),
    ConfigKey::missing(
        "socket",
        "the agent's podman socket is set in its own configuration",
    ),
    ConfigKey::missing("static_ips", "addresses are assigned by podman"),
    ConfigKey::missing("static_macs", "addresses are assigned by podman"),
    ConfigKey::missing("storage_opt", "the node's storage.conf decides"),
    ConfigKey::full("sysctl", "kernel parameters"),
    ConfigKey::full("tmpfs", "paths that live in memory: \"/run:size=1m\""),
    ConfigKey::full("tty", "gives the task a terminal"),
    ConfigKey::full("ulimit", "limits: nofile = \"1024:2048\""),
    ConfigKey::full("userns", "user namespace: host, keep-id, auto"),
    ConfigKey::full("userns_mode", "the same, by docker's name"),
    ConfigKey::full("uts_mode", "UTS namespace: private or host"),
    ConfigKey::full("variant", "variant of the image to pull"),
    ConfigKey::missing("volume_driver", "use a mount block of type volume"),
    ConfigKey::full(
        "volumes",
        "\"source:target[:ro]\"; a relative source is inside the task's directory",
    ),
    ConfigKey::full("work_dir", "directory the program starts in"),
    ConfigKey::full("working_dir", "the same, by podman's name"),
];

/// Keys of a `mount` block.
pub(crate) const MOUNT_KEYS: &[ConfigKey] = &[
    ConfigKey::full("type", "bind, volume or tmpfs"),
    ConfigKey::full("source", "host path, or the volume's name"),
    ConfigKey::full("target", "path inside the container"),
    ConfigKey::full("readonly", "the task may not write"),
    ConfigKey::full("bind_options", "propagation"),
    ConfigKey::full("tmpfs_options", "size (bytes) and mode"),
    ConfigKey::ignored("volume_options", "podman's default volume driver is used"),
];

/// Keys of an `auth` block.
pub(crate) const AUTH_KEYS: &[ConfigKey] = &[
    ConfigKey::full("username", "user name at the registry"),
    ConfigKey::full("password", "password at the registry"),
    ConfigKey::full("tls_verify", "false accepts any certificate"),
    ConfigKey::ignored("email", "no registry asks for it"),
    ConfigKey::ignored("server_address", "the registry is the one in the image's name"),
];

/// Keys of a `devices` block.
pub(crate) const DEVICE_KEYS: &[ConfigKey] = &[
    ConfigKey::full("host_path", "device on the host"),
    ConfigKey::full("container_path", "its path inside the container"),
    ConfigKey::full("cgroup_permissions", "r, w, m"),
];

/// Keys of a `logging` block.
pub(crate) const LOGGING_KEYS: &[ConfigKey] = &[
    ConfigKey::full("driver", "none or journald"),
    ConfigKey::full("type", "the same, by docker's old name"),
    ConfigKey::ignored("options", "the job's `logs` block sets the limits"),
    ConfigKey::ignored("config", "the job's `logs` block sets the limits"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_key_once() {
        assert!(KEYS.windows(2).all(|pair| pair[0].key < pair[1].key));
    }
}
