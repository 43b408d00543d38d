//! Health checks of services, run from the agent: one small task per check, from `Effect::Watch` to `Effect::Unwatch`.

mod http;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use holdfast_agent_core::{AllocRecord, CheckRef, Input};
use holdfast_shared::model::{Check, Fingerprint, Service, TaskGroup};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::fingerprint;
use crate::runtime::News;
use crate::taskenv::address_of;
use crate::tls;

/// Pause between two runs when the job names none.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(10);
/// How long a run may take when the job does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// The checks that are being run.
#[derive(Debug, Default)]
pub struct Checks(BTreeMap<CheckRef, Running>);

/// Ends with its owner.
#[derive(Debug)]
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a check does, with everything resolved.
#[derive(Debug, Clone)]
pub struct Probe {
    address: SocketAddr,
    /// Whether the address is one of the box, and not of a network that only the task has.
    on_host: bool,
    /// `None` only connects.
    request: Option<http::Request>,
    /// `None` speaks plainly.
    tls: Option<Tls>,
    interval: Duration,
    timeout: Duration,
}

/// How an https check speaks TLS.
#[derive(Debug, Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

/// Why a check cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The check is not in the job.
    #[error("the job has no such check")]
    Unknown,
    /// The port is neither one of the allocation's nor a number.
    #[error("check {check:?} has no port: {label:?} is neither a port of the group nor a number")]
    Port {
        /// The check.
        check: String,
        /// What it names.
        label: String,
    },
    /// It asks for TLS, and there is none.
    #[error("check {check:?} cannot use TLS: {reason}")]
    Tls {
        /// The check.
        check: String,
        /// Why not.
        reason: String,
    },
    /// The agent has no way to run it.
    #[error("check {check:?} is of type {kind:?}; http and tcp checks can be run")]
    Kind {
        /// The check.
        check: String,
        /// Its type.
        kind: String,
    },
}

impl Checks {
    /// Begins to run a check; the first time at once. Results go to `news`.
    pub fn watch(&mut self, check: CheckRef, probe: Probe, news: UnboundedSender<News>) {
        let reference = check.clone();
        let work = async move {
            let mut ticks = tokio::time::interval(probe.interval);
            // A box that slept or was busy does not catch up on what it missed.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(passing) = probe.verdict().await else {
                    continue;
                };
                let result = Input::Check(reference.clone(), passing);
                if news.send(News::Input(result)).is_err() {
                    return;
                }
            }
        };
        self.0.insert(check, Running(tokio::spawn(work)));
    }

    /// Ends a check.
    pub fn unwatch(&mut self, check: &CheckRef) {
        self.0.remove(check);
    }
}

impl Probe {
    /// What the check `reference` of an allocation does.
    ///
    /// # Errors
    /// When the job has no such check, or it cannot be run.
    pub fn of(
        reference: &CheckRef,
        record: &AllocRecord,
        group: &TaskGroup,
        node: &Fingerprint,
    ) -> Result<Self, CheckError> {
        let services = group
            .task(&reference.task)
            .map_or_else(|| group.services(), |task| task.services());
        let service = services.get(reference.service).ok_or(CheckError::Unknown)?;
        let check = service.checks().get(reference.check).ok_or(CheckError::Unknown)?;
        let (address, on_host) = address(reference, service, check, record, node)?;
        let (request, tls) = match (check.kind.as_str(), check.protocol.as_str()) {
            ("tcp", _) => (None, None),
            ("http", "" | "http") => (Some(http::Request::new(check, address)), None),
            ("http", "https") => (
                Some(http::Request::new(check, address)),
                Some(Tls::of(check, address.ip())?),
            ),
            (kind, _) => {
                return Err(CheckError::Kind {
                    check: check.name.clone(),
                    kind: kind.to_owned(),
                });
            }
        };
        let or = |given: holdfast_shared::time::Duration, default: Duration| {
            let given = given.to_std();
            if given.is_zero() { default } else { given }
        };
        let (interval, timeout) = (
            or(check.interval, INTERVAL_DEFAULT),
            or(check.timeout, TIMEOUT_DEFAULT),
        );
        Ok(Self {
            address,
            on_host,
            request,
            tls,
            interval,
            timeout,
        })
    }

    /// Whether the check passes; `None` when that cannot be told: no task may suffer because the box lost its address.
    async fn verdict(&self) -> Option<bool> {
        if !self.on_host || fingerprint::has_address(self.address.ip()) {
            return Some(self.passes(self.address).await);
        }
        // A task that started since then listens on every address there is.
        let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.address.port());
        self.passes(loopback).await.then_some(true)
    }

    async fn passes(&self, address: SocketAddr) -> bool {
        let run = async {
            let stream = TcpStream::connect(address).await?;
            match (&self.request, &self.tls) {
                (None, _) => Ok(true),
                (Some(request), None) => request.passes(stream).await,
                (Some(request), Some(tls)) => {
                    let connector = TlsConnector::from(Arc::clone(&tls.config));
                    request
                        .passes(connector.connect(tls.server.clone(), stream).await?)
                        .await
                }
            }
        };
        match timeout(self.timeout, run).await {
            Ok(Ok(passing)) => passing,
            Ok(Err::<bool, std::io::Error>(error)) => {
                tracing::debug!(%address, %error, "check failed");
                false
            }
            Err(_) => false,
        }
    }
}

impl Tls {
    fn of(check: &Check, ip: IpAddr) -> Result<Self, CheckError> {
        let wrong = |reason: String| CheckError::Tls {
            check: check.name.clone(),
            reason,
        };
        let config = if check.tls_skip_verify {
            tls::unverified()
        } else {
            tls::verified(None)
        };
        let name = check.tls_server_name.clone();
        let server = if name.is_empty() {
            Ok(ServerName::from(ip))
        } else {
            ServerName::try_from(name)
        };
        Ok(Self {
            config: config.map_err(|error| wrong(error.to_string()))?,
            server: server.map_err(|error| wrong(error.to_string()))?,
        })
    }
}

/// Where the check connects to, and whether that is an address of the box.
fn address(
    reference: &CheckRef,
    service: &Service,
    check: &Check,
    record: &AllocRecord,
    node: &Fingerprint,
) -> Result<(SocketAddr, bool), CheckError> {
    let first = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    let label = first(&check.port_label, &service.port_label);
    let mode = first(&check.address_mode, &service.address_mode);
    let port = record.assigned.ports.iter().find(|port| port.label == label);
    // Inside the task's own network, when the job says so and there is one.
    let task = record.tasks.get(&reference.task);
    let inside = task.and_then(|task| task.address.parse::<IpAddr>().ok());
    let on_host = |ip: &str| {
        address_of(ip, node)
            .parse()
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    };
    match (port, inside.filter(|_| mode == "alloc" || mode == "driver")) {
        (Some(port), Some(ip)) => {
            let number = if port.to == 0 { port.value } else { port.to };
            Ok((SocketAddr::new(ip, number), false))
        }
        (Some(port), None) => Ok((SocketAddr::new(on_host(&port.host_ip), port.value), true)),
        (None, inside) => {
            let number = label.parse();
            let number = number.map_err(|_| CheckError::Port {
                check: check.name.clone(),
                label,
            })?;
            Ok((
                SocketAddr::new(inside.unwrap_or_else(|| on_host("")), number),
                inside.is_none(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::taskenv::tests::{job, node, record};

    fn probe(check: &Value, port: u16) -> Result<Probe, CheckError> {
        let mut job = job("docker");
        let group = &mut job.task_groups.as_mut().unwrap()[0];
        let service = json!([{"Name": "s", "PortLabel": "web", "Checks": [check]}]);
        group.tasks.as_mut().unwrap()[0].services = serde_json::from_value(service).unwrap();
        let mut record = record(&job);
        record.assigned.ports[1].value = port;
        record.assigned.ports[1].host_ip = "127.0.0.1".into();
        let reference = CheckRef {
            alloc: record.assigned.id,
            task: "api".into(),
            service: 0,
            check: 0,
        };
        Probe::of(&reference, &record, &job.groups()[0], &node().fingerprint)
    }

    /// A server that answers every request with `status` and hands the requests on.
    async fn server(status: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, received) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).await.unwrap_or(0);
                let _ = requests.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (port, received)
    }

    #[tokio::test]
    async fn http_checks_pass_below_400() {
        for (status, passing) in [
            ("200 OK", true),
            ("204 No Content", true),
            ("301 Moved", true),
            ("404 Not Found", false),
            ("503 Busy", false),
        ] {
            let (port, _requests) = server(status).await;
            let check = json!({"Type": "http", "Path": "/health", "Timeout": 2_000_000_000_i64});
            assert_eq!(
                probe(&check, port).unwrap().verdict().await,
                Some(passing),
                "{status}"
            );
        }
    }

    #[tokio::test]
    async fn a_request_carries_method_path_headers_and_body() {
        let (port, mut requests) = server("200 OK").await;
        let check = json!({
            "Type": "http", "Path": "v1/health?x=1", "Method": "POST", "Body": "{\"a\":1}",
            "Header": {"Authorization": ["Basic x"], "Host": ["shop.example"]}
        });
        assert_eq!(probe(&check, port).unwrap().verdict().await, Some(true));
        let request = requests.recv().await.unwrap();
        for part in [
            "POST /v1/health?x=1 HTTP/1.1\r\n",
            "Authorization: Basic x\r\n",
            "Host: shop.example\r\n",
            "Content-Length: 7\r\n",
            "\r\n\r\n{\"a\":1}",
        ] {
            assert!(request.contains(part), "{part:?} is missing in {request:?}");
        }
        assert_eq!(request.matches("Host:").count(), 1);
    }

    #[tokio::test]
    async fn what_does_not_answer_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Connects, and then hears nothing.
        let silent = json!({"Type": "http", "Path": "/", "Timeout": 100_000_000_i64});
        assert_eq!(probe(&silent, port).unwrap().verdict().await, Some(false));
        assert_eq!(
            probe(&json!({"Type": "tcp"}), port).unwrap().verdict().await,
            Some(true)
        );
        drop(listener);
        assert_eq!(
            probe(&json!({"Type": "tcp"}), port).unwrap().verdict().await,
            Some(false)
        );
    }

    #[tokio::test]
    async fn https_checks_verify_the_server_unless_they_are_told_not_to() {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut bytes = vec![0; 4096];
                    let _ = stream.read(&mut bytes).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                        .await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        let check = |skip| json!({"Type": "http", "Protocol": "https", "Path": "/", "TLSSkipVerify": skip});
        assert_eq!(probe(&check(true), port).unwrap().verdict().await, Some(true));
        // A box without authorities says so when the check begins; one with them does not believe this server.
        let strict = probe(&check(false), port);
        assert!(strict.is_err() || strict.unwrap().verdict().await == Some(false));
    }

    #[tokio::test]
    async fn a_box_that_lost_its_address_judges_by_loopback_and_never_against_the_task() {
        let (port, _requests) = server("200 OK").await;
        let displaced = |port| {
            let mut probe = probe(&json!({"Type": "http", "Path": "/"}), port).unwrap();
            probe.address.set_ip("10.255.255.7".parse().unwrap());
            probe
        };
        assert_eq!(displaced(port).verdict().await, Some(true));
        assert_eq!(displaced(1).verdict().await, None);
    }

    #[tokio::test]
    async fn a_check_runs_at_once_and_again_until_it_is_unwatched() {
        let (port, _requests) = server("200 OK").await;
        let check = json!({"Type": "http", "Path": "/", "Interval": 20_000_000_i64});
        let (news, mut received) = unbounded_channel();
        let reference = CheckRef {
            alloc: holdfast_shared::id::AllocId(1),
            task: String::new(),
            service: 0,
            check: 0,
        };
        let mut checks = Checks::default();
        checks.watch(reference.clone(), probe(&check, port).unwrap(), news);
        for _ in 0..3 {
            let Some(News::Input(input)) = received.recv().await else {
                panic!("a check is run again and again")
            };
            assert_eq!(input, Input::Check(reference.clone(), true));
        }
        checks.unwatch(&reference);
        // The channel closes: nobody runs the check any more.
        while received.recv().await.is_some() {}
    }

    #[test]
    fn a_check_that_cannot_be_run_says_why() {
        for (check, error) in [
            (
                json!({"Name": "c", "Type": "script"}),
                "check \"c\" is of type \"script\"; http and tcp checks can be run",
            ),
            (
                json!({"Name": "c", "Type": "tcp", "PortLabel": "nope"}),
                "check \"c\" has no port: \"nope\" is neither a port of the group nor a number",
            ),
        ] {
            assert_eq!(probe(&check, 1).unwrap_err().to_string(), error);
        }
    }
}
