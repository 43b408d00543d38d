//! The service mesh: accepted so that real files parse; whether it is supported is for validation to say.

use super::schema::{
    Absent, Schema, Shape, child, fixed, flag, integer, integers, optional_duration, optional_integer, text,
    texts,
};
use super::task::{IDENTITY, LOGS, RESOURCES, VOLUME_MOUNT};

const MESH_GATEWAY: Schema = Schema::new(&[text("mode", "Mode")], &[]);

const UPSTREAM: Schema = Schema::new(
    &[
        text("destination_name", "DestinationName"),
        text("destination_namespace", "DestinationNamespace"),
        text("destination_peer", "DestinationPeer"),
        text("destination_partition", "DestinationPartition"),
        text("destination_type", "DestinationType"),
        integer("local_bind_port", "LocalBindPort"),
        text("datacenter", "Datacenter"),
        text("local_bind_address", "LocalBindAddress"),
        text("local_bind_socket_path", "LocalBindSocketPath"),
        text("local_bind_socket_mode", "LocalBindSocketMode"),
    ],
    &[
        child("mesh_gateway", "MeshGateway", Shape::One(&MESH_GATEWAY)),
        child("config", "Config", Shape::Free),
    ],
);

const EXPOSE_PATH: Schema = Schema::new(
    &[
        text("path", "Path"),
        text("protocol", "Protocol"),
        integer("local_path_port", "LocalPathPort"),
        text("listener_port", "ListenerPort"),
    ],
    &[],
);

const EXPOSE: Schema = Schema::new(
    &[fixed("Path", Absent::Null)],
    &[child("path", "Paths", Shape::Many(&EXPOSE_PATH))],
);

const TRANSPARENT_PROXY: Schema = Schema::new(
    &[
        text("uid", "UID"),
        integer("outbound_port", "OutboundPort"),
        texts("exclude_inbound_ports", "ExcludeInboundPorts"),
        integers("exclude_outbound_ports", "ExcludeOutboundPorts"),
        texts("exclude_outbound_cidrs", "ExcludeOutboundCIDRs"),
        texts("exclude_uids", "ExcludeUIDs"),
        flag("no_dns", "NoDNS"),
    ],
    &[],
);

const PROXY: Schema = Schema::new(
    &[
        text("local_service_address", "LocalServiceAddress"),
        integer("local_service_port", "LocalServicePort"),
        fixed("ExposeConfig", Absent::Null),
    ],
    &[
        child("expose", "Expose", Shape::One(&EXPOSE)),
        child("upstreams", "Upstreams", Shape::Many(&UPSTREAM)),
        child(
            "transparent_proxy",
            "TransparentProxy",
            Shape::One(&TRANSPARENT_PROXY),
        ),
        child("config", "Config", Shape::Free),
    ],
);

const SIDECAR_SERVICE: Schema = Schema::new(
    &[
        texts("tags", "Tags"),
        text("port", "Port"),
        flag("disable_default_tcp_check", "DisableDefaultTCPCheck"),
    ],
    &[
        child("proxy", "Proxy", Shape::One(&PROXY)),
        child("meta", "Meta", Shape::TextsBlock),
    ],
);

const SIDECAR_TASK: Schema = Schema::new(
    &[
        text("name", "Name"),
        text("driver", "Driver"),
        text("user", "User"),
        optional_duration("kill_timeout", "KillTimeout"),
        optional_duration("shutdown_delay", "ShutdownDelay"),
        text("kill_signal", "KillSignal"),
    ],
    &[
        child("config", "Config", Shape::Free),
        child("env", "Env", Shape::TextsBlock),
        child("resources", "Resources", Shape::One(&RESOURCES)),
        child("meta", "Meta", Shape::TextsBlock),
        child("logs", "LogConfig", Shape::One(&LOGS)),
        child("volume_mount", "VolumeMounts", Shape::Many(&VOLUME_MOUNT)),
        child("identity", "Identities", Shape::Many(&IDENTITY)),
    ],
);

const BIND_ADDRESS: Schema = Schema::new(&[text("address", "Address"), integer("port", "Port")], &[]);

const GATEWAY_PROXY: Schema = Schema::new(
    &[
        optional_duration("connect_timeout", "ConnectTimeout"),
        flag(
            "envoy_gateway_bind_tagged_addresses",
            "EnvoyGatewayBindTaggedAddresses",
        ),
        flag("envoy_gateway_no_default_bind", "EnvoyGatewayNoDefaultBind"),
        text("envoy_dns_discovery_type", "EnvoyDNSDiscoveryType"),
    ],
    &[
        child(
            "envoy_gateway_bind_addresses",
            "EnvoyGatewayBindAddresses",
            Shape::ByLabel(&BIND_ADDRESS, "Name"),
        ),
        child("config", "Config", Shape::Free),
    ],
);

const GATEWAY_TLS: Schema = Schema::new(
    &[
        flag("enabled", "Enabled"),
        text("tls_min_version", "TLSMinVersion"),
        text("tls_max_version", "TLSMaxVersion"),
        texts("cipher_suites", "CipherSuites"),
    ],
    &[],
);

const HEADERS: Schema = Schema::new(
    &[texts("remove", "Remove")],
    &[
        child("add", "Add", Shape::TextsBlock),
        child("set", "Set", Shape::TextsBlock),
    ],
);

const INGRESS_SERVICE: Schema = Schema::new(
    &[
        text("name", "Name"),
        texts("hosts", "Hosts"),
        fixed("TLS", Absent::Null),
        optional_integer("max_connections", "MaxConnections"),
        optional_integer("max_pending_requests", "MaxPendingRequests"),
        optional_integer("max_concurrent_requests", "MaxConcurrentRequests"),
    ],
    &[
        child("request_headers", "RequestHeaders", Shape::One(&HEADERS)),
        child("response_headers", "ResponseHeaders", Shape::One(&HEADERS)),
    ],
);

const LISTENER: Schema = Schema::new(
    &[integer("port", "Port"), text("protocol", "Protocol")],
    &[child("service", "Services", Shape::Many(&INGRESS_SERVICE))],
);

const INGRESS: Schema = Schema::new(
    &[],
    &[
        child("tls", "TLS", Shape::One(&GATEWAY_TLS)),
        child("listener", "Listeners", Shape::Many(&LISTENER)),
    ],
);

const LINKED_SERVICE: Schema = Schema::new(
    &[
        text("name", "Name"),
        text("ca_file", "CAFile"),
        text("cert_file", "CertFile"),
        text("key_file", "KeyFile"),
        text("sni", "SNI"),
    ],
    &[],
);

const TERMINATING: Schema = Schema::new(&[], &[child("service", "Services", Shape::Many(&LINKED_SERVICE))]);
const MESH: Schema = Schema::new(&[], &[]);

const GATEWAY: Schema = Schema::new(
    &[],
    &[
        child("proxy", "Proxy", Shape::One(&GATEWAY_PROXY)),
        child("ingress", "Ingress", Shape::One(&INGRESS)),
        child("terminating", "Terminating", Shape::One(&TERMINATING)),
        child("mesh", "Mesh", Shape::One(&MESH)),
    ],
);

pub(super) const CONNECT: Schema = Schema::new(
    &[flag("native", "Native")],
    &[
        child("gateway", "Gateway", Shape::One(&GATEWAY)),
        child("sidecar_service", "SidecarService", Shape::One(&SIDECAR_SERVICE)),
        child("sidecar_task", "SidecarTask", Shape::One(&SIDECAR_TASK)),
    ],
);
