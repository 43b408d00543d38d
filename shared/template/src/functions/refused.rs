//! Functions that exist elsewhere and are refused here, with what to use instead.

/// Every refused function and why, in one sentence.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS
        .iter()
        .flat_map(|(names, reason)| names.iter().map(move |name| (*name, *reason)))
}

const GROUPS: &[(&[&str], &str)] = &[
    (
        &["service", "connect"],
        "reads from Consul; use nomadService, which reads the built-in catalogue",
    ),
    (
        &["services"],
        "reads from Consul; use nomadServices, which reads the built-in catalogue",
    ),
    (
        &["key", "keyOrDefault", "keyExists", "keyExistsGet"],
        "reads from Consul; put the value into a variable and use nomadVar or nomadVarExists",
    ),
    (
        &["ls", "safeLs", "tree", "safeTree"],
        "reads from Consul; put the values into variables and use nomadVarList",
    ),
    (
        &[
            "node",
            "nodes",
            "datacenters",
            "peerings",
            "partitions",
            "exportedServices",
            "caRoots",
            "caLeaf",
        ],
        "reads from Consul, which is not used here",
    ),
    (
        &["secret"],
        "reads from Vault; put the secret into a variable and use nomadVar",
    ),
    (
        &["secrets"],
        "reads from Vault; put the secrets into variables and use nomadVarList",
    ),
    (&["pkiCert"], "reads from Vault, which is not used here"),
    (
        &["executeTemplate", "plugin", "writeToFile"],
        "function is disabled",
    ),
    (
        &["sockaddr"],
        "is not supported; the task's addresses are in NOMAD_IP_<port> and NOMAD_ADDR_<port>: use env",
    ),
];
