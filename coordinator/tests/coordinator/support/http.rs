//! The least of an HTTP client.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &str| {
            line.split_once(':')
                .is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let found = self.head.lines().find(|it| line(it))?;
        Some(found.split_once(':')?.1.trim())
    }

    /// `X-Nomad-Index`.
    pub(crate) fn index(&self) -> u64 {
        self.header("X-Nomad-Index")
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no index: {self:?}"))
    }

    /// The body of a success.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Asks, and waits for the whole answer.
pub(crate) async fn request(to: SocketAddr, method: &str, path: &str, body: Option<String>) -> Answer {
    let patience = PATIENCE * 2;
    let answer = tokio::time::timeout(patience, exchange(to, method, path, body.unwrap_or_default())).await;
    answer
        .unwrap_or_else(|_| panic!("{method} {path} was not answered"))
        .unwrap()
}

async fn exchange(to: SocketAddr, method: &str, path: &str, body: String) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let length = body.len();
    // HTTP/1.0: the answer ends with the connection, and is not chunked.
    let request = format!("{method} {path} HTTP/1.0\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
