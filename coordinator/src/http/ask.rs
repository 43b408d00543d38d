//! What may be asked of every endpoint: region, namespace, prefix, blocking, filter, pages, pretty print.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use holdfast_shared::id::JobKey;
use holdfast_shared::time::Duration as GoDuration;

use super::App;
use super::filter::Filter;
use super::problem::Problem;

/// How long a blocking query waits at most, and unless it says otherwise.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The parameters of a request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The namespace; `*` is every one.
    namespace: String,
    /// What ids must begin with.
    pub(super) prefix: String,
    /// Answer only once there is something newer than this; 0 is at once.
    pub(super) index: u64,
    /// How long to wait for that.
    pub(super) wait: Duration,
    /// Whether to write JSON for people.
    pub(super) pretty: bool,
    /// What list items must satisfy.
    pub(super) filter: Option<Filter>,
    /// How many list items to answer; 0 is all.
    pub(super) per_page: usize,
    /// The first list item to answer.
    pub(super) next_token: Option<String>,
    /// Whether to answer lists from their end.
    pub(super) reverse: bool,
    params: BTreeMap<String, String>,
}

impl Ask {
    /// Whether `name` is set and not false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.params
            .get(name)
            .is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }

    /// The value of `name`.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// Whether things in `namespace` are asked for.
    pub(super) fn wants_namespace(&self, namespace: &str) -> bool {
        self.namespace == "*" || self.namespace == namespace
    }

    /// The one namespace that is asked for.
    pub(super) fn namespace(&self) -> &str {
        if self.namespace == "*" {
            holdfast_api::DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// The job called `id` in the namespace that is asked for.
    pub(super) fn job_key(&self, id: impl Into<Arc<str>>) -> JobKey {
        JobKey::new(self.namespace(), id)
    }

    fn from_params(params: BTreeMap<String, String>, region: &str) -> Result<Self, Problem> {
        let text = |name: &str| {
            params
                .get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
        };
        if text("region").is_some_and(|asked| asked != region) {
            return Err(Problem::no_path_to_region());
        }
        let number = |name: &str| match text(name) {
            None => Ok(0),
            Some(value) => value.parse().map_err(|_| {
                let text = format!("Invalid {name}: `{value}` is not a number from 0 on");
                Problem::bad_request(text)
            }),
        };
        let wait = match text("wait") {
            None => WAIT_MAX,
            Some(value) => {
                let parsed: Result<GoDuration, _> = value.parse();
                let wait =
                    parsed.map_err(|error| Problem::bad_request(format!("Invalid wait time: {error}")))?;
                if wait.0 <= 0 {
                    WAIT_MAX
                } else {
                    wait.to_std().min(WAIT_MAX)
                }
            }
        };
        let parse_filter = |value: &str| {
            Filter::parse(value)
                .map_err(|error| Problem::bad_request(format!("failed to read filter expression: {error}")))
        };
        let flag = |name: &str| {
            params
                .get(name)
                .is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
        };
        Ok(Self {
            namespace: text("namespace")
                .unwrap_or(holdfast_api::DEFAULT_NAMESPACE)
                .to_owned(),
            prefix: text("prefix").unwrap_or_default().to_owned(),
            index: number("index")?,
            wait,
            pretty: flag("pretty"),
            filter: text("filter").map(parse_filter).transpose()?,
            per_page: usize::try_from(number("per_page")?).unwrap_or(usize::MAX),
            next_token: text("next_token").map(str::to_owned),
            reverse: flag("reverse"),
            params,
        })
    }
}

impl FromRequestParts<Arc<App>> for Ask {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Query(params) = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(format!("Invalid query: {error}")))?;
        Self::from_params(params, &app.identity.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(params: &[(&str, &str)]) -> Result<Ask, Problem> {
        let params = params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ask::from_params(params.collect(), "global")
    }

    #[test]
    fn parameters_are_read_and_bounded() {
        let it = ask(&[
            ("index", "7"),
            ("wait", "90m"),
            ("pretty", ""),
            ("namespace", "*"),
            ("region", "global"),
        ])
        .unwrap();
        assert_eq!((it.index, it.wait, it.pretty), (7, WAIT_MAX, true));
        assert!(it.wants_namespace("edge") && it.namespace() == "default");
        assert_eq!(
            ask(&[("wait", "250ms")]).unwrap().wait,
            Duration::from_millis(250)
        );
    }

    #[test]
    fn parameters_that_make_no_sense_say_so() {
        for (name, value, status, text) in [
            ("index", "x", 400, "Invalid index: `x` is not a number from 0 on"),
            (
                "wait",
                "5",
                400,
                "Invalid wait time: `5` is not a duration: numbers with units like 30s, 5m or 1h30m are expected",
            ),
            ("region", "mars", 500, "No path to region"),
        ] {
            let problem = ask(&[(name, value)]).unwrap_err();
            assert_eq!((problem.status.as_u16(), problem.text.as_str()), (status, text));
        }
    }
}
