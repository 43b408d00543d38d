//! Where the coordinator is and who we are: flags first, then the environment.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::error::ApiError;
use super::tls::TlsFiles;
use crate::environment::Environment;

/// Where a coordinator listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:4646";

/// The flags that every command has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Address of the coordinator: http://, https:// or unix:// [env: EDGE_ADDR]
    #[arg(long, global = true, value_name = "ADDRESS", display_order = 900)]
    pub address: Option<String>,
    /// The region to ask [env: EDGE_REGION]
    #[arg(long, global = true, value_name = "REGION", display_order = 901)]
    pub region: Option<String>,
    /// The namespace to ask, * for all [env: EDGE_NAMESPACE]
    #[arg(long, global = true, value_name = "NAMESPACE", display_order = 902)]
    pub namespace: Option<String>,
    /// The secret id of the token to use [env: EDGE_TOKEN]
    #[arg(long, global = true, value_name = "SECRET", display_order = 903)]
    pub token: Option<String>,
    /// File with the certificate of the authority that signed the coordinator's [env: EDGE_CACERT]
    #[arg(long, global = true, value_name = "FILE", display_order = 904)]
    pub ca_cert: Option<PathBuf>,
    /// Folder with such files [env: EDGE_CAPATH]
    #[arg(long, global = true, value_name = "FOLDER", display_order = 905)]
    pub ca_path: Option<PathBuf>,
    /// File with our own certificate [env: EDGE_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", display_order = 906)]
    pub client_cert: Option<PathBuf>,
    /// File with the key of our own certificate [env: EDGE_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", display_order = 907)]
    pub client_key: Option<PathBuf>,
    /// The name that the coordinator's certificate is for [env: EDGE_TLS_SERVER_NAME]
    #[arg(long, global = true, value_name = "NAME", display_order = 908)]
    pub tls_server_name: Option<String>,
    /// Trust any certificate; never do this outside of a laboratory [env: EDGE_SKIP_VERIFY]
    #[arg(long, global = true, display_order = 909)]
    pub tls_skip_verify: bool,
    /// Print without colours [env: EDGE_CLI_NO_COLOR]
    #[arg(long, global = true, display_order = 910)]
    pub no_color: bool,
    /// Print with colours, even into a file [env: EDGE_CLI_FORCE_COLOR]
    #[arg(long, global = true, display_order = 911)]
    pub force_color: bool,
}

impl Connection {
    /// What flags and environment amount to.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn settings(&self, environment: &Environment) -> Result<Settings, ApiError> {
        let text = |flag: &Option<String>, name: &str| {
            flag.clone()
                .filter(|it| !it.is_empty())
                .or_else(|| environment.setting(name).map(str::to_owned))
        };
        let file = |flag: &Option<PathBuf>, name: &str| {
            flag.clone()
                .or_else(|| environment.setting(name).map(PathBuf::from))
        };
        Ok(Settings {
            address: Address::parse(text(&self.address, "ADDR").as_deref().unwrap_or(DEFAULT_ADDRESS))?,
            region: text(&self.region, "REGION"),
            namespace: text(&self.namespace, "NAMESPACE"),
            token: text(&self.token, "TOKEN"),
            user: environment.setting("HTTP_AUTH").map(str::to_owned),
            tls: TlsFiles {
                ca_cert: file(&self.ca_cert, "CACERT"),
                ca_path: file(&self.ca_path, "CAPATH"),
                client_cert: file(&self.client_cert, "CLIENT_CERT"),
                client_key: file(&self.client_key, "CLIENT_KEY"),
                server_name: text(&self.tls_server_name, "TLS_SERVER_NAME"),
                skip_verify: self.tls_skip_verify || environment.switch("SKIP_VERIFY").unwrap_or(false),
            },
        })
    }

    /// Whether to print colours: as told, or else only on a terminal.
    pub fn wants_color(&self, environment: &Environment, is_terminal: bool) -> bool {
        let is_set = |name: &str| environment.setting(name).is_some();
        if self.no_color
            || is_set("CLI_NO_COLOR")
            || environment.raw("NO_COLOR").is_some_and(|it| !it.is_empty())
        {
            return false;
        }
        self.force_color || is_set("CLI_FORCE_COLOR") || is_terminal
    }
}

/// Where a coordinator listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// In the clear, at `host:port`.
    Http(String),
    /// Encrypted, at `host:port`.
    Https(String),
    /// On this machine, at a socket file.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address; one without a scheme is an `http://` one.
    ///
    /// # Errors
    /// When it has no host or another scheme.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::Address {
            address: text.to_owned(),
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let rest = if scheme == "unix" {
            rest
        } else {
            rest.trim_end_matches('/')
        };
        if rest.is_empty() || rest.contains(char::is_whitespace) || (scheme != "unix" && rest.contains('/')) {
            return Err(wrong());
        }
        match scheme {
            "http" => Ok(Self::Http(rest.to_owned())),
            "https" => Ok(Self::Https(rest.to_owned())),
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// What flags and environment amount to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the coordinator is.
    pub address: Address,
    /// The region to ask; the coordinator's own when none is named.
    pub region: Option<String>,
    /// The namespace to ask.
    pub namespace: Option<String>,
    /// The secret of the token to use.
    pub token: Option<String>,
    /// `user:password` for a proxy in front of the coordinator.
    pub user: Option<String>,
    /// How to encrypt.
    pub tls: TlsFiles,
}

impl Settings {
    /// What every target is put behind.
    pub(super) fn base(&self) -> String {
        match &self.address {
            Address::Http(authority) => format!("http://{authority}"),
            // The name of the certificate takes the host's place; the resolver still leads to the host.
            Address::Https(authority) => match &self.tls.server_name {
                Some(name) => format!("https://{name}{}", port_of(authority)),
                None => format!("https://{authority}"),
            },
            Address::Unix(_) => "http://localhost".to_owned(),
        }
    }

    /// The `Authorization` header for a proxy in front of the coordinator.
    pub(super) fn authorization(&self) -> Option<String> {
        use base64::Engine as _;
        let user = self.user.as_ref()?;
        Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(user)
        ))
    }
}

/// `:port`, when the authority has one.
fn port_of(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[at..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_three_forms() {
        for (text, printed) in [
            ("http://127.0.0.1:4646/", "http://127.0.0.1:4646"),
            ("10.0.0.7:4646", "http://10.0.0.7:4646"),
            ("https://box", "https://box"),
            ("unix:///run/holdfast/api.sock", "unix:///run/holdfast/api.sock"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), printed);
        }
        for text in ["", "ftp://x", "http://", "http://a b", "http://a/b"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_edge_over_nomad() {
        let environment: Environment = [
            ("NOMAD_ADDR", "http://n:1"),
            ("EDGE_ADDR", "http://e:2"),
            ("NOMAD_REGION", "west"),
        ]
        .into_iter()
        .collect();
        let from_environment = Connection::default().settings(&environment).unwrap();
        assert_eq!(from_environment.address.to_string(), "http://e:2");
        assert_eq!(from_environment.region.as_deref(), Some("west"));
        let flags = Connection {
            address: Some("http://f:3".to_owned()),
            ..Connection::default()
        };
        assert_eq!(
            flags.settings(&environment).unwrap().address.to_string(),
            "http://f:3"
        );
        let nowhere = Connection::default().settings(&Environment::default()).unwrap();
        assert_eq!(nowhere.address.to_string(), DEFAULT_ADDRESS);
    }

    #[test]
    fn the_name_of_a_certificate_keeps_the_port_of_its_host() {
        assert_eq!(
            (
                port_of("10.0.0.1:4646"),
                port_of("[::1]:4646"),
                port_of("[::1]"),
                port_of("box")
            ),
            (":4646", ":4646", "", "")
        );
    }
}
