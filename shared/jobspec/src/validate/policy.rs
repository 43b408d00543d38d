//! Policies: restart, reschedule, update, migrate, disconnect, periodic, parameterized.

use holdfast_shared::model::{
    Disconnect, JobType, Migrate, Parameterized, Periodic, Reschedule, Restart, Update,
};
use holdfast_shared::time::Duration;

use super::errors::Errors;

const ZERO: Duration = Duration::ZERO;

pub(super) fn restart(policy: &Restart) -> Errors {
    let mut errors = Errors::default();
    let mode = policy.mode.as_deref().unwrap_or("fail");
    errors.push_if(
        !matches!(mode, "fail" | "delay"),
        format_args!("Unsupported restart mode: {mode:?}"),
    );
    let attempts = policy.attempts.unwrap_or(0);
    errors.push_if(
        attempts == 0 && mode != "fail",
        format_args!("Restart policy {mode:?} with {attempts} attempts is ambiguous"),
    );
    let (interval, delay) = (policy.interval.unwrap_or(ZERO), policy.delay.unwrap_or(ZERO));
    let least = Duration::from_secs(5);
    errors.push_if(
        interval < least,
        format_args!("Interval can not be less than {} (got {})", least, interval),
    );
    errors.push_if(
        delay.times(attempts) > interval,
        format_args!(
            "Nomad can't restart the TaskGroup {attempts} times in an interval of {} with a delay of {}",
            interval, delay
        ),
    );
    errors
}

pub(super) fn reschedule(policy: &Reschedule) -> Errors {
    let mut errors = Errors::default();
    let (attempts, is_unlimited) = (policy.attempts.unwrap_or(0), policy.unlimited.unwrap_or(false));
    if attempts <= 0 && !is_unlimited {
        return errors;
    }
    errors.push_if(
        attempts > 0 && is_unlimited,
        format_args!(
            "Reschedule Policy with {attempts} attempts and unlimited = {is_unlimited} is ambiguous"
        ),
    );
    let function = policy.delay_function.as_deref().unwrap_or_default();
    errors.push_if(
        !matches!(function, "constant" | "exponential" | "fibonacci"),
        format_args!(
            "Invalid delay function {function:?}, must be one of [\"constant\" \"exponential\" \"fibonacci\"]"
        ),
    );
    let (delay, longest) = (policy.delay.unwrap_or(ZERO), policy.max_delay.unwrap_or(ZERO));
    let least = Duration::from_secs(5);
    errors.push_if(
        delay < least,
        format_args!("Delay cannot be less than {} (got {})", least, delay),
    );
    if function != "constant" {
        errors.push_if(
            longest < least,
            format_args!("Max Delay cannot be less than {} (got {})", least, longest),
        );
        errors.push_if(
            longest < delay,
            format_args!("Max Delay cannot be less than Delay {} (got {})", delay, longest),
        );
    }
    let (interval, least) = (policy.interval.unwrap_or(ZERO), Duration::from_secs(15));
    errors.push_if(
        !is_unlimited && interval < least,
        format_args!("Interval cannot be less than {} (got {})", least, interval),
    );
    errors
}

pub(super) fn update(policy: &Update) -> Errors {
    let mut errors = Errors::default();
    health_check(
        policy.health_check.as_deref(),
        &["checks", "task_states", "manual"],
        "health check given",
        &mut errors,
    );
    let (parallel, canary) = (policy.max_parallel.unwrap_or(1), policy.canary.unwrap_or(0));
    errors.push_if(
        parallel < 0,
        format_args!("Max parallel can not be less than zero: {parallel} < 0"),
    );
    errors.push_if(
        canary < 0,
        format_args!("Canary count can not be less than zero: {canary} < 0"),
    );
    errors.push_if(
        canary == 0 && policy.auto_promote == Some(true),
        "Auto Promote requires a Canary count greater than zero",
    );
    let healthy = policy.min_healthy_time.unwrap_or(ZERO);
    let deadline = policy.healthy_deadline.unwrap_or(ZERO);
    let progress = policy.progress_deadline.unwrap_or(ZERO);
    errors.push_if(
        healthy < ZERO,
        format_args!("Minimum healthy time may not be less than zero: {}", healthy),
    );
    errors.push_if(
        deadline <= ZERO,
        format_args!("Healthy deadline must be greater than zero: {}", deadline),
    );
    errors.push_if(
        progress < ZERO,
        format_args!("Progress deadline must be zero or greater: {}", progress),
    );
    errors.push_if(
        healthy >= deadline,
        format_args!(
            "Minimum healthy time must be less than healthy deadline: {} > {}",
            healthy, deadline
        ),
    );
    errors.push_if(
        progress != ZERO && deadline >= progress,
        format_args!(
            "Healthy deadline must be less than progress deadline: {} > {}",
            deadline, progress
        ),
    );
    let stagger = policy.stagger.unwrap_or(ZERO);
    errors.push_if(
        stagger <= ZERO,
        format_args!("Stagger must be greater than zero: {}", stagger),
    );
    errors
}

fn health_check(given: Option<&str>, known: &[&str], what: &str, errors: &mut Errors) {
    if let Some(given) = given.filter(|given| !known.contains(given)) {
        errors.push(format!("Invalid {what}: {given:?}"));
    }
}

pub(super) fn migrate(policy: &Migrate) -> Errors {
    let mut errors = Errors::default();
    let parallel = policy.max_parallel.unwrap_or(1);
    errors.push_if(
        parallel < 0,
        format_args!("MaxParallel must be >= 0 but found {parallel}"),
    );
    health_check(
        policy.health_check.as_deref(),
        &["checks", "task_states"],
        "HealthCheck",
        &mut errors,
    );
    let healthy = policy.min_healthy_time.unwrap_or(ZERO);
    let deadline = policy.healthy_deadline.unwrap_or(ZERO);
    errors.push_if(
        healthy < ZERO,
        format_args!("MinHealthyTime is {} and must be >= 0", healthy),
    );
    errors.push_if(
        deadline < ZERO,
        format_args!("HealthyDeadline is {} and must be >= 0", deadline),
    );
    errors.push_if(
        healthy > deadline,
        "MinHealthyTime must be less than HealthyDeadline",
    );
    errors
}

pub(super) fn disconnect(policy: &Disconnect, kind: JobType) -> Errors {
    let mut errors = Errors::default();
    let negative = |duration: Option<Duration>| duration.is_some_and(|it| it < ZERO);
    errors.push_if(
        negative(policy.lost_after),
        "lost_after cannot be a negative duration",
    );
    errors.push_if(
        negative(policy.stop_on_client_after),
        "stop_on_client_after cannot be a negative duration",
    );
    errors.push_if(
        policy.stop_on_client_after.is_some() && kind.is_system(),
        "stop_on_client_after can only be set in service and batch jobs",
    );
    errors.push_if(
        policy.lost_after.is_some_and(|it| it > ZERO) && policy.stop_on_client_after.is_some(),
        "disconnect: stop_on_client_after and lost_after are mutually exclusive",
    );
    let reconcile = policy.reconcile.as_deref().unwrap_or("best_score");
    errors.push_if(
        !matches!(
            reconcile,
            "best_score" | "keep_original" | "keep_replacement" | "longest_running"
        ),
        format_args!("reconcile option is invalid: {reconcile}"),
    );
    errors
}

pub(super) fn periodic(periodic: &Periodic) -> Errors {
    let mut errors = Errors::default();
    let one = periodic.spec.as_deref().filter(|spec| !spec.is_empty());
    let several = periodic.specs.as_deref().unwrap_or_default();
    errors.push_if(
        one.is_some() && !several.is_empty(),
        "Only cron or crons may be used",
    );
    errors.push_if(one.is_none() && several.is_empty(), "Must specify a spec");
    if holdfast_cron::zone(periodic.time_zone.as_deref()).is_none() {
        let zone = periodic.time_zone.as_deref().unwrap_or_default();
        errors.push(format!("Invalid time zone {zone:?}: unknown time zone {zone}"));
    }
    for spec in holdfast_cron::expressions(periodic) {
        if let Err(reason) = holdfast_cron::Schedule::parse(spec) {
            errors.push(format!("Invalid cron spec {spec:?}: {reason}"));
        }
    }
    errors
}

pub(super) fn parameterized(parameterized: &Parameterized) -> Errors {
    let mut errors = Errors::default();
    let payload = parameterized.payload.as_str();
    errors.push_if(
        !matches!(payload, "" | "optional" | "required" | "forbidden"),
        format_args!("Unknown payload requirement: {payload:?}"),
    );
    let required = parameterized.meta_required.as_deref().unwrap_or_default();
    let optional = parameterized.meta_optional.as_deref().unwrap_or_default();
    let both: Vec<&str> = required
        .iter()
        .filter(|key| optional.contains(key))
        .map(String::as_str)
        .collect();
    errors.push_if(
        !both.is_empty(),
        format_args!(
            "Required and optional meta keys should be disjoint. Following keys exist in both: {}",
            both.join(", ")
        ),
    );
    errors
}
