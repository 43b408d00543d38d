//! The HTTP client of the coordinator's `/v1`.
//!
//! Owns addresses, credentials, encryption and the wording of what goes wrong on the way. Deliberately does not know
//! what the answers mean.

mod connection;
mod error;
mod request;
mod tls;
mod unix;

use std::sync::Arc;
use std::time::Duration;

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body, http};

pub use connection::{Address, Connection, Settings};
pub use error::ApiError;
pub use request::{Reply, Request, segment};

/// The largest answer that is read; a fleet of ten thousand nodes lists in a tenth of it.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take, beyond the time that a blocking query was allowed to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to one coordinator, and on whose behalf it is used.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    settings: Arc<Settings>,
}

impl Client {
    /// A client with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn new(settings: Settings) -> Result<Self, ApiError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("edgectl/", env!("CARGO_PKG_VERSION")));
        if let Address::Https(_) = settings.address {
            config = config.tls_config(tls::config(&settings.tls)?);
        }
        let agent = match &settings.address {
            Address::Unix(path) => {
                let connector = unix::UnixConnector::new(path.clone());
                Agent::with_parts(config.build(), connector, unix::NoResolver)
            }
            Address::Https(authority) if settings.tls.server_name.is_some() => {
                let resolver = tls::FixedResolver::new(authority.clone());
                Agent::with_parts(config.build(), ().chain(DefaultConnector::default()), resolver)
            }
            _ => Agent::with_parts(
                config.build(),
                DefaultConnector::default(),
                DefaultResolver::default(),
            ),
        };
        Ok(Self {
            agent,
            settings: Arc::new(settings),
        })
    }

    /// The same connection, used for another region or namespace, where the operator named none.
    pub fn for_job(&self, region: Option<&str>, namespace: Option<&str>) -> Self {
        let mut settings = (*self.settings).clone();
        settings.region = settings.region.or_else(|| region.map(str::to_owned));
        settings.namespace = settings.namespace.or_else(|| namespace.map(str::to_owned));
        Self {
            agent: self.agent.clone(),
            settings: Arc::new(settings),
        }
    }

    /// Where the coordinator is, as the operator wrote it.
    pub fn address(&self) -> &Address {
        &self.settings.address
    }

    /// Whether listings go over all namespaces.
    pub fn spans_namespaces(&self) -> bool {
        self.settings.namespace.as_deref() == Some("*")
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When nobody answers, the answer is a refusal, or it is not JSON.
    pub fn fetch(&self, request: &Request) -> Result<Reply, ApiError> {
        let response = self.send(request).map_err(|cause| self.unreachable(cause))?;
        let status = response.status();
        let index = header(&response, "X-Nomad-Index")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let mut body = response.into_body();
        let text = body
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()
            .map_err(|cause| self.unreachable(cause))?;
        if !status.is_success() {
            return Err(ApiError::Refused {
                status: status.as_u16(),
                text: text.trim().to_owned(),
            });
        }
        let value = if text.trim().is_empty() {
            Ok(serde_json::Value::Null)
        } else {
            serde_json::from_str(&text)
        };
        let value = value.map_err(|source| ApiError::NotJson {
            path: request.path().to_owned(),
            source,
        })?;
        Ok(Reply { value, index })
    }

    fn send(&self, request: &Request) -> Result<http::Response<Body>, ureq::Error> {
        let mut builder = http::Request::builder().method(request.method()).uri(format!(
            "{}{}",
            self.settings.base(),
            request.target(self.scope())
        ));
        if let Some(token) = &self.settings.token {
            builder = builder.header("X-Nomad-Token", token.trim());
        }
        if let Some(authorization) = self.settings.authorization() {
            builder = builder.header("Authorization", authorization);
        }
        let timeout = ANSWER_TIMEOUT + request.longest_wait();
        match request.body() {
            Some(body) => {
                let ready = builder
                    .header("Content-Type", "application/json")
                    .body(body.to_string())?;
                self.agent.run(
                    self.agent
                        .configure_request(ready)
                        .timeout_recv_response(Some(timeout))
                        .build(),
                )
            }
            None => {
                let ready = builder.body(())?;
                self.agent.run(
                    self.agent
                        .configure_request(ready)
                        .timeout_recv_response(Some(timeout))
                        .build(),
                )
            }
        }
    }

    /// The parameters that every request carries.
    fn scope(&self) -> impl Iterator<Item = (&str, &str)> {
        let region = self.settings.region.as_deref().map(|it| ("region", it));
        let namespace = self.settings.namespace.as_deref().map(|it| ("namespace", it));
        region.into_iter().chain(namespace)
    }

    fn unreachable(&self, cause: ureq::Error) -> ApiError {
        ApiError::Unreachable {
            address: self.settings.address.to_string(),
            cause,
        }
    }
}

fn header<'a>(response: &'a http::Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
