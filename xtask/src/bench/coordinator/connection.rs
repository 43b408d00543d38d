//! One HTTP connection to the coordinator that stays open: what a program does that has many requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    body: Vec<u8>,
    /// Index of the state that the last answer came from.
    index: u64,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_string(),
            body: Vec::new(),
            index: 0,
        })
    }

    /// Sends a request, and answers the body of a success.
    pub(super) fn request(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<&[u8]> {
        let (host, length) = (&self.host, body.len());
        // In one piece: a request is one packet more often than not.
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self
            .read_answer()
            .with_context(|| format!("{method} {path}: no answer"))?;
        ensure!(
            status == 200,
            "{method} {path}: status {status}: {}",
            String::from_utf8_lossy(&self.body)
        );
        Ok(&self.body)
    }

    /// Asks for JSON.
    pub(super) fn read(&mut self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(self.request("GET", path, "")?)?)
    }

    /// Index of the state that the last answer came from.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    fn read_answer(&mut self) -> anyhow::Result<u16> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("x-nomad-index") {
                self.index = value.trim().parse()?;
            }
        }
        self.body.resize(length.context("no length")?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(status)
    }
}
