//! One request and its answer.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;

/// A request to the coordinator.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    longest_wait: Duration,
}

impl Request {
    /// Reads `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// Writes `body` to `path`.
    pub fn put(path: impl Into<String>, body: impl Serialize) -> Self {
        let body = serde_json::to_value(body).expect("requests are made of plain data, which always is JSON");
        Self {
            body: Some(body),
            ..Self::new("PUT", path)
        }
    }

    /// The same, as one that writes `body`.
    pub fn with_body(self, body: impl Serialize) -> Self {
        let path = String::new();
        let written = Self::put(path, body);
        Self {
            method: written.method,
            body: written.body,
            ..self
        }
    }

    /// Removes what is at `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            longest_wait: Duration::ZERO,
        }
    }

    /// Adds a parameter.
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a parameter when there is a value for it.
    pub fn query_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Asks to be answered when the index has passed `index`, or after `wait`.
    pub fn after(self, index: u64, wait: Duration) -> Self {
        let mut waiting = self
            .query("index", index)
            .query("wait", format!("{}ms", wait.as_millis()));
        waiting.longest_wait = wait;
        waiting
    }

    pub(super) const fn method(&self) -> &'static str {
        self.method
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    pub(super) const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// Path and query; the request's own parameters come before those of `scope`, and win over them.
    pub(super) fn target<'a>(&'a self, scope: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut target = self.path.clone();
        let own = self.query.iter().map(|(name, value)| (*name, value.as_str()));
        let added = scope.filter(|(name, _)| self.query.iter().all(|(own, _)| own != name));
        for (count, (name, value)) in own.chain(added).enumerate() {
            let sign = if count == 0 { '?' } else { '&' };
            let _ = write!(target, "{sign}{name}={}", segment(value));
        }
        target
    }
}

/// `text` as one segment of a path, or as a value of a query.
pub fn segment(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The body.
    pub value: Value,
    /// The index of the state that it was read from; 0 when there is none.
    pub index: u64,
}

impl Reply {
    /// The body as a typed view.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        T::deserialize(&self.value).map_err(|source| ApiError::Shape { source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_escapes_its_values_and_prefers_its_own_parameters() {
        let request = Request::get(format!("/v1/job/{}", segment("a/b c"))).query("namespace", "*");
        let scope = [("region", "west"), ("namespace", "dev")];
        assert_eq!(
            request.target(scope.into_iter()),
            "/v1/job/a%2Fb%20c?namespace=%2A&region=west"
        );
    }
}
