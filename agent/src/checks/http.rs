//! As much of an HTTP/1.1 client as a health check needs: one request, the status line of the answer.

use std::io;
use std::net::SocketAddr;

use holdfast_shared::model::Check;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The longest status line that is read.
const STATUS_BYTES_MAX: u64 = 1024;

/// A request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request(Vec<u8>);

impl Request {
    /// The request of `check` to the server at `address`.
    pub(super) fn new(check: &Check, address: SocketAddr) -> Self {
        let method = if check.method.is_empty() {
            "GET"
        } else {
            &check.method
        };
        let slash = if check.path.starts_with('/') { "" } else { "/" };
        let mut head = format!("{method} {slash}{} HTTP/1.1\r\n", check.path);
        let given: Vec<(&String, &String)> = check
            .header
            .iter()
            .flatten()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .collect();
        for (name, default) in [
            ("Host", address.to_string().as_str()),
            ("User-Agent", "holdfast-agent"),
            ("Connection", "close"),
        ] {
            if !given.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) {
                head.push_str(&format!("{name}: {default}\r\n"));
            }
        }
        for (name, value) in given {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !check.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", check.body.len()));
        }
        head.push_str("\r\n");
        head.push_str(&check.body);
        Self(head.into_bytes())
    }

    /// Whether the server answers with a status below 400.
    pub(super) async fn passes(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<bool> {
        stream.write_all(&self.0).await?;
        stream.flush().await?;
        let mut line = String::new();
        BufReader::new(stream.take(STATUS_BYTES_MAX))
            .read_line(&mut line)
            .await?;
        let status = line
            .strip_prefix("HTTP/")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|text| text.trim().parse::<u16>().ok());
        status
            .map(|status| status < 400)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
