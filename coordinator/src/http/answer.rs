//! Answers: JSON with Nomad's headers, at once or when there is something new.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_coordinator_core::State;
use holdfast_coordinator_core::state::Table;
use serde::Serialize;
use serde_json::Value;

use super::App;
use super::ask::Ask;
use super::problem::Problem;

/// The official client refuses answers without these.
const INDEX: &str = "X-Nomad-Index";
const LAST_CONTACT: &str = "X-Nomad-LastContact";
const KNOWN_LEADER: &str = "X-Nomad-KnownLeader";
const NEXT_TOKEN: &str = "X-Nomad-NextToken";

/// Answers one thing that is made of `tables`, once those are newer than asked.
pub(super) async fn one<T: Serialize>(
    app: &App,
    ask: &Ask,
    tables: &[Table],
    view: impl FnOnce(&State) -> Result<T, Problem>,
) -> Response {
    let (state, index) = newer(app, ask, tables).await;
    match view(&state) {
        Ok(view) => json(&view, index, ask.pretty),
        Err(problem) => with_index(problem.into_response(), index),
    }
}

/// Answers a list that is made of `tables`, once those are newer than asked: what passes the filter, page by page.
pub(super) async fn list<T: Serialize>(
    app: &App,
    ask: &Ask,
    tables: &[Table],
    view: impl FnOnce(&State) -> Result<Vec<T>, Problem>,
) -> Response {
    let (state, index) = newer(app, ask, tables).await;
    let mut items = match view(&state) {
        Ok(items) => items,
        Err(problem) => return with_index(problem.into_response(), index),
    };
    if ask.reverse {
        items.reverse();
    }
    if ask.filter.is_none() && ask.per_page == 0 {
        return json(&items, index, ask.pretty);
    }
    let values = items
        .iter()
        .map(|item| serde_json::to_value(item).expect("views are plain data"));
    let mut values: Vec<Value> = values
        .filter(|value| ask.filter.as_ref().is_none_or(|it| it.accepts(value)))
        .collect();
    let next = page(&mut values, ask);
    let mut response = json(&values, index, ask.pretty);
    if let Some(token) = next.and_then(|token| HeaderValue::from_str(&token).ok()) {
        response.headers_mut().insert(NEXT_TOKEN, token);
    }
    response
}

/// Answers what was written, in a state of this index.
pub(super) fn json<T: Serialize>(view: &T, index: u64, pretty: bool) -> Response {
    let body = if pretty {
        serde_json::to_vec_pretty(view)
    } else {
        serde_json::to_vec(view)
    };
    match body {
        Ok(body) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            with_index((kind, Body::from(body)).into_response(), index)
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn with_index(mut response: Response, index: u64) -> Response {
    let headers = response.headers_mut();
    headers.insert(INDEX, index.max(1).into());
    headers.insert(LAST_CONTACT, HeaderValue::from_static("0"));
    headers.insert(KNOWN_LEADER, HeaderValue::from_static("true"));
    response
}

/// Cuts out the page that is asked for; answers what the next one begins with.
fn page(items: &mut Vec<Value>, ask: &Ask) -> Option<String> {
    let id = |item: &Value| item["ID"].as_str().unwrap_or_default().to_owned();
    if let Some(token) = &ask.next_token {
        let start = items
            .iter()
            .position(|item| id(item) == *token)
            .unwrap_or(items.len());
        items.drain(..start);
    }
    if ask.per_page == 0 || items.len() <= ask.per_page {
        return None;
    }
    let next = items.get(ask.per_page).map(id);
    items.truncate(ask.per_page);
    next
}

/// The newest snapshot once one of `tables` is newer than asked, or the wait is over; and their index.
async fn newer(app: &App, ask: &Ask, tables: &[Table]) -> (Arc<State>, u64) {
    let snapshots = &app.runtime.snapshots;
    let mut changes = snapshots.watch();
    let mut closed = app.closed.clone();
    let deadline = tokio::time::Instant::now() + ask.wait + jitter(ask.wait);
    loop {
        changes.mark_unchanged();
        let state = snapshots.load();
        let index = tables
            .iter()
            .map(|table| state.table_index(*table))
            .max()
            .unwrap_or_else(|| state.index.max(1));
        if index > ask.index || ask.index == 0 || *closed.borrow() {
            return (state, index);
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return (state, index) },
            _ = closed.changed() => return (state, index),
            () = tokio::time::sleep_until(deadline) => return (state, index),
        }
    }
}

/// Up to a sixteenth, so that many who asked at once do not ask again at once.
fn jitter(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    (wait / 16).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
