//! Where an external broker is: `mqtt://user:password@host:port`, or `mqtts://` for TLS.

use std::str::FromStr;

/// The address of a broker, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Name or address of the host.
    pub host: String,
    /// 1883, or 8883 with TLS, unless given.
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
}

impl std::fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

impl std::fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        std::fmt::Display::fmt(self, f)
    }
}

/// Text that is no address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// It does not begin with a known scheme.
    #[error("a broker's address begins with mqtt:// or mqtts://")]
    Scheme,
    /// It names no host.
    #[error("the broker's address names no host")]
    Host,
    /// Its port is no number.
    #[error("`{0}` is not a port")]
    Port(String),
    /// It has a path or a query.
    #[error("`{0}` behind the host and port of the broker has no meaning")]
    Rest(String),
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (tls, rest) = match (text.strip_prefix("mqtt://"), text.strip_prefix("mqtts://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(BrokerUrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last `@`: a password may contain one.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login.split_once(':').unwrap_or((login, ""))), place),
            None => (None, rest),
        };
        if let Some(at) = place.find(['/', '?', '#']) {
            return Err(BrokerUrlError::Rest(place[at..].to_owned()));
        }
        let (host, port) = split_port(place)?;
        if host.is_empty() {
            return Err(BrokerUrlError::Host);
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 8883 } else { 1883 }),
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`.
fn split_port(place: &str) -> Result<(&str, Option<u16>), BrokerUrlError> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let number = |port: &str| port.parse().map_err(|_| BrokerUrlError::Port(port.to_owned()));
    Ok((host, port.map(number).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_brokers_are_read() {
        let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        for (text, tls, host, port, expected) in [
            ("mqtt://broker", false, "broker", 1883, None),
            ("mqtts://broker/", true, "broker", 8883, None),
            ("mqtt://10.0.0.1:2883", false, "10.0.0.1", 2883, None),
            (
                "mqtt://edge:p@ss:word@[::1]:99",
                false,
                "::1",
                99,
                login("edge", "p@ss:word"),
            ),
            ("mqtt://edge@h", false, "h", 1883, login("edge", "")),
        ] {
            let url = BrokerUrl {
                tls,
                host: host.into(),
                port,
                login: expected,
            };
            assert_eq!(text.parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_why_and_no_password_is_printed() {
        for (text, error) in [
            ("http://x", BrokerUrlError::Scheme),
            ("mqtt://", BrokerUrlError::Host),
            ("mqtt://x:y", BrokerUrlError::Port("y".into())),
            ("mqtt://x/topic", BrokerUrlError::Rest("/topic".into())),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
        }
        let url: BrokerUrl = "mqtt://me:secret@[::1]:5".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "mqtt://[::1]:5 mqtt://[::1]:5");
    }
}
