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

/// How long a connection, and then each read, may take.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// Asks `http://ADDRESS/PATH` from inside the network namespace `netns` (a `/proc/PID/ns/net` file).
///
/// # Errors
/// When the namespace or the server cannot be reached, or the answer is not HTTP.
pub fn http_get(netns: &Path, address: SocketAddr, path: &str) -> anyhow::Result<HttpResponse> {
    let netns = File::open(netns).with_context(|| format!("cannot open {}", netns.display()))?;
    // Only the thread that asks moves into the other network, and it ends with the answer.
    let exchange = || -> anyhow::Result<Vec<u8>> {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = thread::scope(|scope| scope.spawn(exchange).join())
        .map_err(|_| anyhow!("the HTTP client panicked"))?
        .with_context(|| format!("GET http://{address}{path}"))?;
    parse(&bytes).with_context(|| format!("GET http://{address}{path}: not an HTTP answer"))
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
        assert_eq!(parse(b"SSH-2.0-x\r\n"), None);
    }
}
