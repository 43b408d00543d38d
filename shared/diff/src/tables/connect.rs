//! The service mesh, which jobs may describe although we do not run it.

use super::task::{LOGS, RESOURCES};
use crate::shape::Judged::ByFields;
use crate::shape::Kind::{ElapsedWhenEdited, Flag, Map, Number, Text};
use crate::shape::Pairing::Fields;
use crate::shape::Part::{Block, List, Settings, Words};
use crate::shape::{BLOCK, Shape};

pub(crate) static CONNECT: Shape = Shape {
    name: "ConsulConnect",
    fields: &[("Native", Flag)],
    parts: &[
        Block("SidecarService", &SIDECAR_SERVICE),
        Block("SidecarTask", &SIDECAR_TASK),
        Block("Gateway", &GATEWAY),
    ],
    ..BLOCK
};

static SIDECAR_SERVICE: Shape = Shape {
    name: "SidecarService",
    fields: &[("DisableDefaultTCPCheck", Flag), ("Meta", Map), ("Port", Text)],
    parts: &[Block("Proxy", &PROXY)],
    ..BLOCK
};

static PROXY: Shape = Shape {
    name: "ConsulProxy",
    fields: &[("LocalServiceAddress", Text), ("LocalServicePort", Number)],
    parts: &[
        List("Upstreams", &UPSTREAM, Fields(&["Datacenter", "DestinationName"])),
        Block("TransparentProxy", &TRANSPARENT_PROXY),
        Block("Expose", &EXPOSE),
        Settings("Config"),
    ],
    ..BLOCK
};

static EXPOSE: Shape = Shape {
    name: "Expose",
    parts: &[List("Paths", &EXPOSED_PATH, Fields(&["Path", "ListenerPort"]))],
    ..BLOCK
};

static EXPOSED_PATH: Shape = Shape {
    name: "Path",
    fields: &[
        ("ListenerPort", Text),
        ("LocalPathPort", Number),
        ("Path", Text),
        ("Protocol", Text),
    ],
    ..BLOCK
};

static UPSTREAM: Shape = Shape {
    name: "ConsulUpstreams",
    fields: &[
        ("Datacenter", Text),
        ("DestinationName", Text),
        ("DestinationNamespace", Text),
        ("DestinationPartition", Text),
        ("DestinationPeer", Text),
        ("DestinationType", Text),
        ("LocalBindAddress", Text),
        ("LocalBindPort", Number),
        ("LocalBindSocketMode", Text),
        ("LocalBindSocketPath", Text),
    ],
    parts: &[Block("MeshGateway", &MESH_GATEWAY), Settings("Config")],
    ..BLOCK
};

static MESH_GATEWAY: Shape = Shape {
    name: "MeshGateway",
    fields: &[("Mode", Text)],
    judged: ByFields,
    ..BLOCK
};

static TRANSPARENT_PROXY: Shape = Shape {
    name: "TransparentProxy",
    fields: &[("NoDNS", Flag), ("OutboundPort", Number), ("UID", Text)],
    parts: &[
        Words("ExcludeInboundPorts"),
        Words("ExcludeOutboundCIDRs"),
        Words("ExcludeOutboundPorts"),
        Words("ExcludeUIDs"),
    ],
    ..BLOCK
};

static SIDECAR_TASK: Shape = Shape {
    name: "SidecarTask",
    fields: &[
        ("Driver", Text),
        ("Env", Map),
        ("KillSignal", Text),
        ("Meta", Map),
        ("Name", Text),
        ("User", Text),
    ],
    hidden: &["KillTimeout", "ShutdownDelay"],
    parts: &[
        Settings("Config"),
        Block("Resources", &RESOURCES),
        Block("LogConfig", &LOGS),
    ],
    in_context: false,
    ..BLOCK
};

static GATEWAY: Shape = Shape {
    name: "Gateway",
    parts: &[
        Block("Proxy", &GATEWAY_PROXY),
        Block("Ingress", &INGRESS),
        Block("Terminating", &TERMINATING),
        Block("Mesh", &MESH),
    ],
    ..BLOCK
};

static GATEWAY_PROXY: Shape = Shape {
    name: "Proxy",
    fields: &[
        ("ConnectTimeout", ElapsedWhenEdited),
        ("EnvoyDNSDiscoveryType", Text),
        ("EnvoyGatewayBindTaggedAddresses", Flag),
        ("EnvoyGatewayNoDefaultBind", Flag),
    ],
    parts: &[Settings("EnvoyGatewayBindAddresses"), Settings("Config")],
    ..BLOCK
};

static INGRESS: Shape = Shape {
    name: "Ingress",
    parts: &[
        Block("TLS", &TLS),
        List("Listeners", &LISTENER, Fields(&["Protocol", "Port"])),
    ],
    ..BLOCK
};

static TLS: Shape = Shape {
    name: "TLS",
    fields: &[
        ("Enabled", Flag),
        ("TLSMaxVersion", Text),
        ("TLSMinVersion", Text),
    ],
    parts: &[Words("CipherSuites")],
    ..BLOCK
};

static LISTENER: Shape = Shape {
    name: "Listener",
    fields: &[("Port", Number), ("Protocol", Text)],
    parts: &[List("Services", &INGRESS_SERVICE, Fields(&["Name"]))],
    ..BLOCK
};

static INGRESS_SERVICE: Shape = Shape {
    name: "ConsulIngressService",
    fields: &[("Name", Text)],
    parts: &[Words("Hosts")],
    ..BLOCK
};

static TERMINATING: Shape = Shape {
    name: "Terminating",
    parts: &[List("Services", &LINKED_SERVICE, Fields(&["Name"]))],
    ..BLOCK
};

static LINKED_SERVICE: Shape = Shape {
    name: "Service",
    fields: &[
        ("CAFile", Text),
        ("CertFile", Text),
        ("KeyFile", Text),
        ("Name", Text),
        ("SNI", Text),
    ],
    ..BLOCK
};

static MESH: Shape = Shape {
    name: "Mesh",
    ..BLOCK
};
