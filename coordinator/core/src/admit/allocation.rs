//! Allocations: stopping one, so that it is replaced.

use holdfast_shared::id::AllocId;
use holdfast_shared::model::Trigger;

use crate::effect::{Refusal, Response};
use crate::ledger::Ledger;

/// Ends an allocation and has its job evaluated, which replaces it as if its node drained. One that is over stays as it is.
pub(super) fn stop(ledger: &mut Ledger, id: AllocId, no_shutdown_delay: bool) -> Result<Response, Refusal> {
    let known = ledger.state.allocs.get(&id).cloned();
    let alloc = known.ok_or_else(|| Refusal::NotFound("alloc".into()))?;
    if !alloc.is_terminal() {
        let mut alloc = (*alloc).clone();
        alloc.transition.migrate = true;
        alloc.transition.no_shutdown_delay |= no_shutdown_delay;
        ledger.put_alloc(alloc);
    }
    let eval = ledger.evaluate(&alloc.job, Trigger::AllocStop);
    Ok(Response {
        eval: Some(eval),
        eval_create_index: ledger.index(),
        index: ledger.index(),
        ..Response::default()
    })
}
