//! `/v1/services`, `/v1/service/:name`.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{ServiceListStub, ServiceRegistration};
use holdfast_coordinator_core::state::Table;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer};

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Services], |state| {
        let wanted = state
            .services
            .values()
            .filter(|it| ask.wants_namespace(&it.job.namespace));
        Ok(ServiceListStub::of(wanted.map(|it| &**it)))
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(name): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Services], |state| {
        let found = state
            .service(ask.namespace(), &name)
            .map(|it| ServiceRegistration::from(&**it))
            .collect();
        match ask.param("choose") {
            Some(choice) => choose(found, choice),
            None => Ok(found),
        }
    })
    .await
}

/// `<number>|<key>`: that many instances, and always the same ones for the same key (rendezvous hashing).
fn choose(mut found: Vec<ServiceRegistration>, choice: &str) -> Result<Vec<ServiceRegistration>, Problem> {
    let parts = choice
        .split_once('|')
        .and_then(|(number, key)| Some((number.parse::<usize>().ok()?, key)));
    let Some((number, key)) = parts.filter(|(number, _)| *number > 0) else {
        return Err(Problem::bad_request(format!(
            "Invalid choose: `{choice}` is not of the form number|key"
        )));
    };
    let rank = |it: &ServiceRegistration| {
        let mut hasher = DefaultHasher::new();
        (key, &it.id).hash(&mut hasher);
        hasher.finish()
    };
    found.sort_by_cached_key(rank);
    found.truncate(number);
    Ok(found)
}
