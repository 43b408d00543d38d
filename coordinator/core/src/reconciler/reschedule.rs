//! When a failed or unreachable allocation is placed anew (`scheduling-semantics.md` 3.4).

use holdfast_shared::model::{
    Allocation, ClientStatus, DelayFunction, Rare, Reschedule, RescheduleEvent, ReschedulePolicy,
};
use holdfast_shared::time::{Duration, Timestamp};

/// What is due within this time is due now.
const NOW: Duration = Duration::from_secs(1);

/// Events that policies without a limit remember.
const UNLIMITED_EVENTS_MAX: usize = 5;

/// When an allocation is placed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// In this evaluation.
    Now(Duration),
    /// Then.
    Later(Timestamp),
    /// Not at all, as far as the policy goes.
    Never,
}

/// The pause before the next placement, after `history` and a failure at `failed_at`.
pub fn next_delay(policy: &ReschedulePolicy, history: &[RescheduleEvent], failed_at: Timestamp) -> Duration {
    let Some(last) = history.last() else {
        return policy.delay;
    };
    let delay = match policy.delay_function {
        DelayFunction::Constant => return policy.delay,
        DelayFunction::Exponential => last.delay.times(2),
        DelayFunction::Fibonacci => match history.len().checked_sub(2).map(|at| history[at].delay) {
            // A series that has just begun anew.
            Some(before) if last.delay < before => last.delay,
            Some(before) => before + last.delay,
            None => policy.delay,
        },
    };
    if policy.max_delay <= Duration::ZERO || delay <= policy.max_delay {
        return delay;
    }
    // What ran for longer than the longest pause has earned a new series.
    if failed_at.since(last.time) > policy.max_delay {
        policy.delay
    } else {
        policy.max_delay
    }
}

/// Whether the policy allows one more placement.
pub fn is_eligible(policy: &ReschedulePolicy, history: &[RescheduleEvent], failed_at: Timestamp) -> bool {
    if policy.unlimited {
        return true;
    }
    if policy.attempts <= 0 {
        return false;
    }
    let recent = history
        .iter()
        .filter(|event| failed_at.since(event.time) < policy.interval)
        .count();
    i64::try_from(recent).is_ok_and(|recent| recent < policy.attempts)
        && next_delay(policy, history, failed_at) < policy.interval
}

/// When an allocation that failed, or went out of contact, at `failed_at` is placed anew. `due` is set by the
/// evaluation that was made for exactly this.
pub fn decide(
    policy: Option<&ReschedulePolicy>,
    alloc: &Allocation,
    failed_at: Timestamp,
    (now, due): (Timestamp, bool),
) -> Decision {
    let Some(policy) = policy else {
        return if alloc.transition.force_reschedule {
            Decision::Now(Duration::ZERO)
        } else {
            Decision::Never
        };
    };
    let delay = next_delay(policy, &alloc.reschedules, failed_at);
    if alloc.transition.force_reschedule || due {
        return Decision::Now(delay);
    }
    if !is_eligible(policy, &alloc.reschedules, failed_at) {
        return Decision::Never;
    }
    let at = failed_at + delay;
    if at <= now + NOW {
        Decision::Now(delay)
    } else {
        Decision::Later(at)
    }
}

/// When an allocation failed, by the coordinator's own clock.
pub fn failed_at(alloc: &Allocation) -> Timestamp {
    let recorded = alloc
        .client_history
        .iter()
        .rev()
        .find(|(status, _)| *status == ClientStatus::Failed);
    recorded.map_or(alloc.modify_time, |(_, at)| *at)
}

/// The history that a replacement of `previous` carries.
pub fn history(
    policy: Option<&ReschedulePolicy>,
    previous: &Allocation,
    delay: Duration,
    now: Timestamp,
) -> Rare<RescheduleEvent> {
    let mut events = previous.reschedules.to_vec();
    match policy {
        Some(policy) if !policy.unlimited => events.retain(|event| now.since(event.time) < policy.interval),
        _ => {
            let surplus = events.len().saturating_sub(UNLIMITED_EVENTS_MAX - 1);
            events.drain(..surplus);
        }
    }
    events.push(RescheduleEvent {
        time: now,
        previous_alloc: previous.id,
        previous_node: previous.node,
        delay,
    });
    events.into()
}

/// What is wrong with a block, in words; nothing when it is acceptable.
pub fn problems(block: &Reschedule) -> Vec<String> {
    let policy = block.policy();
    let mut problems = Vec::new();
    let function = block.delay_function.as_deref().unwrap_or_default();
    let disabled = policy.attempts <= 0 && !policy.unlimited;
    if disabled {
        return problems;
    }
    if policy.unlimited && (policy.attempts > 0 || policy.interval > Duration::ZERO) {
        problems.push("attempts and interval make no sense with unlimited = true".into());
    }
    if policy.delay < Duration::from_secs(5) {
        problems.push(format!("delay {} is shorter than 5s", policy.delay));
    }
    if !matches!(function, "constant" | "exponential" | "fibonacci") {
        problems.push(format!(
            "delay_function {function:?} is none of constant, exponential, fibonacci"
        ));
    } else if function != "constant" && policy.max_delay < policy.delay {
        problems.push(format!(
            "max_delay {} is shorter than delay {}",
            policy.max_delay, policy.delay
        ));
    }
    if !policy.unlimited {
        if policy.interval < Duration::from_secs(15) {
            problems.push(format!("interval {} is shorter than 15s", policy.interval));
        } else if shortest_span(&policy) > policy.interval {
            problems.push(format!(
                "{} attempts do not fit into interval {}",
                policy.attempts, policy.interval
            ));
        }
    }
    problems
}

/// The sum of the delays of all attempts.
fn shortest_span(policy: &ReschedulePolicy) -> Duration {
    let mut events: Vec<RescheduleEvent> = Vec::new();
    let mut time = Timestamp::ZERO;
    for _ in 0..policy.attempts.min(1000) {
        let delay = next_delay(policy, &events, time);
        time = time + delay;
        events.push(RescheduleEvent {
            time,
            previous_alloc: holdfast_shared::id::AllocId(0),
            previous_node: holdfast_shared::id::NodeId(0),
            delay,
        });
    }
    time.since(Timestamp::ZERO)
}
