//! One run of edgectl: who asks, where the answer comes from, and where it goes.

use anyhow::Result;
use holdfast_shared::time::Timestamp;
use serde_json::Value;

use crate::client::{Client, Request};
use crate::environment::Environment;
use crate::output::json::Format;
use crate::output::{Console, time};

/// How a command ends: the exit code of the process.
pub type Exit = u8;

/// It went well.
pub const DONE: Exit = 0;
/// It did not.
pub const FAILED: Exit = 1;
/// It went well, but not everything found a place.
pub const UNPLACED: Exit = 2;

/// One run.
pub struct Session<'a> {
    /// The coordinator.
    pub client: Client,
    /// Where output goes.
    pub console: Console<'a>,
    /// The variables of the run.
    pub environment: Environment,
    /// The name that we were called by: `edgectl`, or `nomad` in its place.
    pub program: String,
    /// When the run began: all distances of one listing are counted from here.
    pub now: Timestamp,
}

impl Session<'_> {
    /// Prints the answer as the operator's programs want it. Says whether it did: people read it otherwise.
    ///
    /// # Errors
    /// When a template does not run.
    pub fn print_formatted(&mut self, format: &Format, answer: &Value) -> Result<bool> {
        let rendered = format.render(answer)?;
        let is_done = rendered.is_some();
        if let Some(text) = rendered {
            self.console.line(text);
        }
        Ok(is_done)
    }

    /// How long ago, or on what day: short listings show distances, verbose ones show times.
    pub fn when(&self, at: Timestamp, verbose: bool) -> String {
        if verbose {
            time::stamp(at)
        } else {
            time::distance(at, self.now)
        }
    }

    /// Points to a page of the web interface, unless the operator or the coordinator turned that off.
    pub fn hint(&mut self, what: &str, page: &str) {
        self.point_to(what, page, "");
    }

    /// The same, with what follows set off by a blank line.
    pub fn hint_above(&mut self, what: &str, page: &str) {
        self.point_to(what, page, "\n");
    }

    // On standard error: it is no part of what was asked for.
    fn point_to(&mut self, what: &str, page: &str, tail: &str) {
        let Some(address) = self.ui_address() else { return };
        if self.shows_hints() {
            self.console.error(format_args!(
                "\n\n==> {what} in the Web UI: {address}{page}{tail}"
            ));
        }
    }

    /// Where the web interface is; a socket file has none.
    pub fn ui_address(&self) -> Option<String> {
        let address = self.client.address().to_string();
        (!address.starts_with("unix:")).then(|| format!("{address}/ui"))
    }

    fn shows_hints(&self) -> bool {
        if let Some(wanted) = self.environment.switch("CLI_SHOW_HINTS") {
            return wanted;
        }
        let Ok(reply) = self.client.fetch(&Request::get("/v1/agent/self")) else {
            return false;
        };
        let is_on =
            |name: &str| reply.value.pointer(&format!("/config/UI/{name}")) != Some(&Value::Bool(false));
        is_on("Enabled") && is_on("ShowCLIHints")
    }
}
