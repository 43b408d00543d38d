//! Encryption: whom we trust, and who we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::error::ApiError;

/// Where distributions keep the authorities that everybody trusts.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files that encryption is made of.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The authority that signed the coordinator's certificate; the system's authorities when absent.
    pub ca_cert: Option<PathBuf>,
    /// A folder of authorities.
    pub ca_path: Option<PathBuf>,
    /// Our own certificate.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// The name that the coordinator's certificate is for, where that is not its host.
    pub server_name: Option<String>,
    /// Trust anybody.
    pub skip_verify: bool,
}

/// The configuration that `files` make, over rustls with ring.
pub(super) fn config(files: &TlsFiles) -> Result<TlsConfig, ApiError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots(files)?)
        .client_cert(identity(files)?)
        .disable_verification(files.skip_verify)
        .build())
}

fn roots(files: &TlsFiles) -> Result<RootCerts, ApiError> {
    let mut found = Vec::new();
    if let Some(path) = &files.ca_cert {
        found.extend(certificates("the authority in", path)?);
    }
    if let Some(folder) = &files.ca_path {
        let entries =
            std::fs::read_dir(folder).map_err(|error| refuse("the authorities in", folder, error))?;
        for entry in entries.flatten().filter(|it| it.path().is_file()) {
            found.extend(certificates("the authority in", &entry.path())?);
        }
    }
    if files.ca_cert.is_none() && files.ca_path.is_none() && !files.skip_verify {
        let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists());
        if let Some(bundle) = bundle {
            found.extend(certificates("the system's authorities in", bundle)?);
        }
    }
    Ok(RootCerts::from(found))
}

fn identity(files: &TlsFiles) -> Result<Option<ClientCert>, ApiError> {
    let (Some(certificate), Some(key)) = (&files.client_cert, &files.client_key) else {
        return Ok(None);
    };
    let chain = certificates("our certificate in", certificate)?;
    let text = std::fs::read(key).map_err(|error| refuse("our key in", key, error))?;
    let key = PrivateKey::from_pem(&text).map_err(|error| refuse("our key in", key, error))?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<Certificate<'static>>, ApiError> {
    let text = std::fs::read(path).map_err(|error| refuse(what, path, error))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = parse_pem(&text).filter_map(certificate).collect();
    if found.is_empty() {
        Err(refuse(what, path, "it holds no PEM certificate"))
    } else {
        Ok(found)
    }
}

fn refuse(what: &'static str, path: &Path, reason: impl ToString) -> ApiError {
    ApiError::Certificate {
        what,
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// Leads every name to one host: requests are written to the name of the certificate instead.
#[derive(Debug)]
pub(super) struct FixedResolver {
    authority: String,
}

impl FixedResolver {
    pub(super) const fn new(authority: String) -> Self {
        Self { authority }
    }
}

impl Resolver for FixedResolver {
    fn resolve(
        &self,
        _: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let uri: Uri = format!("https://{}", self.authority)
            .parse()
            .map_err(|_| ureq::Error::BadUri(self.authority.clone()))?;
        DefaultResolver::default().resolve(&uri, config, timeout)
    }
}
