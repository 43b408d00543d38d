//! Where a broker listens, as people write it.

use std::fmt;
use std::str::FromStr;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Host name or address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that names no broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address of a broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] is expected")]
pub struct UrlError(String);

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (tls, default) = match scheme {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last colon behind an IPv6 address in brackets, or the only one there is.
        let split = rest
            .rfind(':')
            .filter(|at| rest.rfind(']').is_none_or(|bracket| *at > bracket));
        let (host, port) = match split {
            Some(at) => (&rest[..at], rest[at + 1..].parse().map_err(|_| wrong())?),
            None => (rest, default),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || !host.chars().all(plain) || (host.contains(':') && !bracketed) || port == 0 {
            return Err(wrong());
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}:{}",
            if self.tls { "mqtts" } else { "mqtt" },
            self.host,
            self.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_default_ports() {
        for (text, read) in [
            ("mqtt://hub", Some("mqtt://hub:1883")),
            ("mqtts://hub.example.org/", Some("mqtts://hub.example.org:8883")),
            ("tcp://10.0.0.1:1900", Some("mqtt://10.0.0.1:1900")),
            ("mqtt://[fd00::1]", Some("mqtt://[fd00::1]:1883")),
            ("mqtt://[fd00::1]:99", Some("mqtt://[fd00::1]:99")),
            ("mqtt://fd00::1", None),
            ("http://hub", None),
            ("hub:1883", None),
            ("mqtt://", None),
            ("mqtt://hub:0", None),
            ("mqtt://hub:x", None),
            ("mqtt://user@hub", None),
        ] {
            assert_eq!(
                text.parse::<Url>().ok().map(|url| url.to_string()).as_deref(),
                read,
                "{text}"
            );
        }
    }
}
