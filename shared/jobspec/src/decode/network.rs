//! Networks and ports.

use serde_json::{Value as Json, json};

use super::schema::{
    Absent, Schema, Shape, child, fixed, flag, integer, optional_integer, text, text_map, texts,
};

const PORT: Schema = Schema::new(
    &[
        integer("static", "Value"),
        integer("to", "To"),
        text("host_network", "HostNetwork"),
        flag("ignore_collision", "IgnoreCollision"),
    ],
    &[],
);

const DNS: Schema = Schema::new(
    &[
        texts("servers", "Servers"),
        texts("searches", "Searches"),
        texts("options", "Options"),
    ],
    &[],
);

const CNI: Schema = Schema::new(&[text_map("args", "Args")], &[]);

pub(super) const NETWORK: Schema = Schema::new(
    &[
        text("mode", "Mode"),
        text("device", "Device"),
        text("cidr", "CIDR"),
        text("ip", "IP"),
        text("hostname", "Hostname"),
        optional_integer("mbits", "MBits"),
        fixed("ReservedPorts", Absent::Null),
    ],
    &[
        child("dns", "DNS", Shape::One(&DNS)),
        child("port", "DynamicPorts", Shape::Labelled(&PORT, "Label")),
        child("cni", "CNI", Shape::One(&CNI)),
    ],
);

/// Ports that have a number are reserved, the others dynamic.
pub(super) fn sort_ports(networks: &mut Json) {
    for network in networks.as_array_mut().into_iter().flatten() {
        let Json::Array(ports) = network["DynamicPorts"].take() else {
            continue;
        };
        let is_fixed = |port: &Json| port["Value"].as_i64().is_some_and(|number| number > 0);
        let (reserved, dynamic): (Vec<Json>, Vec<Json>) = ports.into_iter().partition(is_fixed);
        let or_null = |ports: Vec<Json>| {
            if ports.is_empty() {
                Json::Null
            } else {
                json!(ports)
            }
        };
        network["ReservedPorts"] = or_null(reserved);
        network["DynamicPorts"] = or_null(dynamic);
    }
}
