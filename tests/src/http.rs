//! A small HTTP client that speaks from inside of a machine's network.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How long an answer may take: a coordinator whose disk fails tries more than once before it says so.
const ANSWER: Duration = Duration::from_secs(10);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Status line and headers, as sent.
    pub head: String,
    /// Body, decoded as text.
    pub body: String,
}

impl HttpResponse {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// Asks `http://ADDRESS/PATH` from inside the network namespace `netns` (a `/proc/PID/ns/net` file).
///
/// # Errors
/// When the namespace or the server cannot be reached, or the answer is not HTTP.
pub fn http_get(netns: &Path, address: SocketAddr, path: &str) -> anyhow::Result<HttpResponse> {
    http_request(netns, address, "GET", path, "")
}

/// Sends a request with this method and JSON body to `http://ADDRESS/PATH` from inside the network namespace `netns`.
///
/// # Errors
/// When the namespace or the server cannot be reached, or the answer is not HTTP; whether the server has acted is not
/// known then.
pub fn http_request(
    netns: &Path,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<HttpResponse> {
    // Only the thread that asks moves into the other network, and it ends with the answer.
    let exchange = || -> anyhow::Result<Vec<u8>> {
        enter_network(netns)?;
        let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = thread::scope(|scope| scope.spawn(exchange).join())
        .map_err(|_| anyhow!("the HTTP client panicked"))?
        .with_context(|| format!("{method} http://{address}{path}"))?;
    parse(&bytes).with_context(|| format!("{method} http://{address}{path}: not an HTTP answer"))
}

/// Moves this thread into the network namespace `netns` (a `/proc/PID/ns/net` file), for good.
///
/// # Errors
/// When there is no such namespace.
pub fn enter_network(netns: &Path) -> anyhow::Result<()> {
    let file = File::open(netns).with_context(|| format!("cannot open {}", netns.display()))?;
    Ok(move_into_link_name_space(
        file.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

fn parse(bytes: &[u8]) -> Option<HttpResponse> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(HttpResponse {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_head_and_body() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\ngone").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "gone"));
        assert!(answer.head.ends_with("A: b"));
        assert_eq!((answer.header("a"), answer.header("c")), (Some("b"), None));
        assert_eq!(parse(b"SSH-2.0-x\r\n"), None);
    }
}
