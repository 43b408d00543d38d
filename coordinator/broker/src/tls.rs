//! The broker's TLS identity: certificate chain and key from PEM, with ring as the only provider.

use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig, crypto::ring};

use crate::config::{Pem, TlsConfig};

/// Why the TLS listener cannot show its identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificates are no PEM.
    #[error("the certificate chain is not valid PEM")]
    Certificates(#[source] pem::Error),
    /// There is not one certificate.
    #[error("the certificate chain is empty: expected at least one CERTIFICATE section, leaf first")]
    NoCertificate,
    /// The key is no PEM, or there is none.
    #[error("no private key found: expected one PRIVATE KEY section in PEM")]
    Key(#[source] pem::Error),
    /// Certificate and key are unusable or do not belong together.
    #[error("certificate and private key cannot be used")]
    Identity(#[source] rustls::Error),
}

/// Loads the identity and prepares for handshakes.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(&read(&config.certificates)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificates)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&config.key)?).map_err(TlsError::Key)?;
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(TlsError::Identity)?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn read(pem: &Pem) -> Result<Vec<u8>, TlsError> {
    match pem {
        Pem::Bytes(bytes) => Ok(bytes.clone()),
        Pem::Path(path) => std::fs::read(path).map_err(|source| TlsError::Read {
            path: path.clone(),
            source,
        }),
    }
}
