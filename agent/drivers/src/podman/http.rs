//! One request that podman-api cannot make: creating a container with a log path.
//!
//! podman-api 0.11 models libpod's `log_configuration` with field names that libpod ignores, and its request functions
//! are private. HTTP/1.0 keeps this to a page: no chunks, and the connection's end is the answer's end.

use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// No answer of podman's to a creation is anywhere near this long.
const MAX_ANSWER: u64 = 1 << 20;

/// Posts JSON and gives the status code and the JSON answer.
pub(super) async fn post_json(socket: &Path, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: podman\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((
        status,
        serde_json::from_slice(&answer[end + 4..]).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_json() {
        let answer = b"HTTP/1.0 201 Created\r\nServer: x\r\n\r\n{\"Id\":\"a\"}\n";
        assert_eq!(parse(answer), Some((201, serde_json::json!({"Id": "a"}))));
        assert_eq!(parse(b"rubbish"), None);
    }
}
