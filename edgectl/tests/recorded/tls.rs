//! Encryption: whom we trust, under which name, and who we are.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgectl::output::Style;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::bodies::at;
use crate::case::run_with;

/// An authority, a coordinator for `coordinator.edge` that it signed and that asks for a certificate, and ours.
struct Site {
    address: String,
    folder: tempfile::TempDir,
}

impl Site {
    fn open() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (server, client) = (signed("coordinator.edge"), signed("operator"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        write("client.pem", client.0.pem());
        write("client.key", client.1.serialize_pem());
        let config = server_config(authority.der(), server.0.der(), &server.1);
        Self {
            address: listen(config),
            folder,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn server_config(
    authority: &CertificateDer<'_>,
    own: &CertificateDer<'_>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_client_cert_verifier(clients);
    Arc::new(
        config
            .with_single_cert(vec![own.clone().into_owned()], key)
            .unwrap(),
    )
}

/// Answers every request with an empty list.
fn listen(config: Arc<ServerConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::new();
            // A client that does not trust us hangs up; that is what some tests want.
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
        }
    });
    address
}

fn nodes(environment: &[(&str, &str)]) -> (String, u8) {
    run_with(
        environment,
        &["edgectl", "node", "status"],
        Style::default(),
        at("2026-11-21T08:00:00Z"),
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_coordinator_is_trusted_by_its_authority_and_under_the_name_of_its_certificate() {
    let site = Site::open();
    let (ca, certificate, key) = (
        site.file("ca.pem"),
        site.file("client.pem"),
        site.file("client.key"),
    );
    let mut environment = vec![
        ("EDGE_ADDR", site.address.as_str()),
        ("NOMAD_CACERT", text(&ca)),
        ("NOMAD_CLIENT_CERT", text(&certificate)),
        ("NOMAD_CLIENT_KEY", text(&key)),
        ("NOMAD_TLS_SERVER_NAME", "coordinator.edge"),
    ];
    assert_eq!(nodes(&environment), ("No nodes registered\n".to_owned(), 0));
    environment.pop();
    let (printed, exit) = nodes(&environment);
    assert!(
        printed.contains("no coordinator answers at https://127.0.0.1:"),
        "{printed}"
    );
    assert!(printed.contains("-tls-server-name=NAME"), "{printed}");
    assert_eq!(exit, 1);
}

#[test]
fn an_unknown_authority_is_refused_unless_everybody_is_trusted() {
    let site = Site::open();
    let (certificate, key) = (site.file("client.pem"), site.file("client.key"));
    let mut environment = vec![
        ("EDGE_ADDR", site.address.as_str()),
        ("EDGE_CACERT", text(&certificate)),
        ("EDGE_CLIENT_CERT", text(&certificate)),
        ("EDGE_CLIENT_KEY", text(&key)),
        ("EDGE_TLS_SERVER_NAME", "coordinator.edge"),
    ];
    let (printed, exit) = nodes(&environment);
    assert!(printed.contains("-ca-cert=FILE") && exit == 1, "{printed}");
    environment.push(("EDGE_SKIP_VERIFY", "true"));
    assert_eq!(nodes(&environment), ("No nodes registered\n".to_owned(), 0));
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let environment = [
        ("EDGE_ADDR", "https://127.0.0.1:1"),
        ("EDGE_CACERT", "/nowhere/ca.pem"),
    ];
    let (printed, exit) = nodes(&environment);
    assert!(
        printed.starts_with("cannot use the authority in /nowhere/ca.pem: "),
        "{printed}"
    );
    assert_eq!(exit, 1);
}
