//! How many jobs a second find their places on thousands of nodes while some of those fail, and what they cost in memory.

use std::time::{Duration, Instant};

use anyhow::ensure;
use holdfast_tests::wait_for;

use super::clients::side_by_side;
use super::figure::{Figure, Target};
use super::jobs::{Template, await_placed, pause, register, running};
use super::server::Server;
use super::{MEMORY_PER_ALLOCATION, MEMORY_PER_JOB, Size};

/// Clients that register jobs and wait for their places.
const CLIENTS: usize = 16;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(180);

/// Jobs of `groups` groups with one allocation each, on nodes of a load process with a real MQTT connection each. Half
/// way, the connections of some nodes break off.
pub(super) fn measure(size: &Size, groups: usize) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start()?;
    let _lasting = server.nodes(size.nodes - size.failing, 1, PATIENCE)?;
    let failing = server.nodes(size.failing, 2, PATIENCE)?;
    let mut figures = memory(&server, size, groups)?;

    let template = Template::new(groups);
    // One of the clients pulls the plug before it goes on.
    let plug = std::sync::Mutex::new(Some(failing));
    let cpu = server.cpu_time()?;
    let pull = || plug.lock().expect("nobody panics while holding it").take();
    let done = side_by_side(
        &server,
        CLIENTS,
        |number| number < size.jobs,
        |connection, number| {
            if number == size.jobs / 2 {
                drop(pull());
            }
            let eval = register(connection, &template.of(&format!("job-{number}")))?;
            await_placed(connection, &eval)
        },
    )?;
    let cpu = server.cpu_time()? - cpu;
    let start = Instant::now();
    await_running(&server, "job", size.jobs, groups)?;
    let settled = start.elapsed();
    let title = |what: &str| format!("{what}, jobs of {groups} groups");
    let shown = |title: String, unit, ours, note: String| Figure {
        title,
        unit,
        ours,
        original: None,
        target: Target::None,
        note,
    };
    let what = format!(
        "{} jobs by {CLIENTS} clients on {} nodes, {} of which fail half way; everything runs {:.1} s after the last \
         answer",
        size.jobs,
        size.nodes,
        size.failing,
        settled.as_secs_f64()
    );
    figures.push(shown(title("placed and durable"), "jobs/s", done.rate(), what));
    let rate = done.rate() * groups as f64;
    let cost = cpu.as_secs_f64() * 1e3 / (done.count() * groups) as f64;
    let what =
        format!("processor time of the coordinator {cost:.2} ms a placement, reports of the nodes included");
    figures.push(shown("  placements".into(), "/s", rate, what));
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let title = format!("  register to all placed, {name}");
        figures.push(shown(title, "ms", done.percentile(share), String::new()));
    }
    Ok(figures)
}

/// Jobs first, while evaluations wait; then their allocations, once these run.
fn memory(server: &Server, size: &Size, groups: usize) -> anyhow::Result<Vec<Figure>> {
    let jobs = size.jobs;
    let mut operator = server.connect()?;
    pause(&mut operator, true)?;
    let template = Template::new(groups);
    let before = server.memory()?;
    side_by_side(
        server,
        CLIENTS,
        |number| number < jobs,
        |connection, number| register(connection, &template.of(&format!("still-{number}"))).map(drop),
    )?;
    let registered = server.memory()?;
    pause(&mut operator, false)?;
    await_running(server, "still", jobs, groups)?;
    let placed = server.memory()?;
    let figure = |title, bytes: f64, count: usize, target| Figure {
        title,
        unit: "KB",
        ours: bytes / count as f64 / 1e3,
        original: None,
        target: Target::AtMost(target),
        note: format!("anonymous memory, over {count}"),
    };
    let of = |what: &str| format!("memory per {what} of a job of {groups} groups");
    let allocs = jobs * groups;
    Ok(vec![
        Figure {
            title: format!("memory per job of {groups} groups"),
            note: format!("anonymous memory, over {jobs}, before anything of them is placed"),
            ..figure(of("job"), registered - before, jobs, MEMORY_PER_JOB)
        },
        figure(
            of("allocation"),
            placed - registered,
            allocs,
            MEMORY_PER_ALLOCATION,
        ),
    ])
}

/// Waits until every allocation of the jobs that are called so runs, as the nodes say.
fn await_running(server: &Server, name: &str, jobs: usize, groups: usize) -> anyhow::Result<()> {
    let mut connection = server.connect()?;
    for number in 0..jobs {
        let id = format!("{name}-{number}");
        wait_for("every allocation to run", PATIENCE, || {
            let running = running(&mut connection, &id)?;
            ensure!(running == groups as u64, "{running} of {groups} of {id}");
            Ok(())
        })?;
    }
    Ok(())
}
