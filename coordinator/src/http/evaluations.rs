//! `/v1/evaluations`, `/v1/evaluation/:id`.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::Evaluation;
use holdfast_coordinator_core::State as Snapshot;
use holdfast_coordinator_core::state::Table;
use holdfast_shared::id::EvalId;
use holdfast_shared::model;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, allocations as allocs, answer, id_prefix};

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Evaluations], |state| {
        let Some(ids) = id_prefix::range(&ask.prefix) else {
            return Ok(Vec::new());
        };
        let evals = state
            .evals
            .range(EvalId(*ids.start())..=EvalId(*ids.end()))
            .map(|(_, eval)| eval);
        let matches = |it: &&std::sync::Arc<model::Evaluation>| {
            ask.wants_namespace(&it.job.namespace)
                && ask.param("job").is_none_or(|job| *it.job.id == *job)
                && ask
                    .param("status")
                    .is_none_or(|status| it.status.as_str() == status)
        };
        Ok(evals.filter(matches).map(|it| view(state, it)).collect())
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Evaluations], |state| {
        let eval = find(state, &id)?;
        let mut view = view(state, eval);
        if ask.flag("related") {
            view.related_evals = related(state, eval).into_iter().map(Into::into).collect();
        }
        Ok(view)
    })
    .await
}

pub(super) async fn allocations(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Allocations], |state| {
        let eval = find(state, &id)?;
        let placed = state.allocs_of_job(&eval.job).filter(|it| it.eval == eval.id);
        Ok(placed.map(|it| allocs::stub(state, it)).collect())
    })
    .await
}

fn find<'a>(state: &'a Snapshot, id: &str) -> Result<&'a model::Evaluation, Problem> {
    let id: EvalId = id_prefix::whole(id, "eval")?;
    state
        .evals
        .get(&id)
        .map(|it| &**it)
        .ok_or_else(|| Problem::not_found("eval"))
}

/// The view of an evaluation.
pub(super) fn view(state: &Snapshot, it: &model::Evaluation) -> Evaluation {
    Evaluation::of(it, state.jobs.get(&it.job).map(|job| &**job))
}

/// Every other evaluation of the same chain.
fn related<'a>(state: &'a Snapshot, eval: &'a model::Evaluation) -> Vec<&'a model::Evaluation> {
    let links = |eval: &model::Evaluation| [eval.previous, eval.next, eval.blocked].into_iter().flatten();
    let mut seen = BTreeSet::from([eval.id]);
    let mut open: Vec<EvalId> = links(eval).collect();
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        let Some(next) = state.evals.get(&id).filter(|_| seen.insert(id)) else {
            continue;
        };
        open.extend(links(next));
        found.push(&**next);
    }
    found.sort_by_key(|eval| eval.create_index);
    found
}
