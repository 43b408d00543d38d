//! The edge-services document, from its first `job run` to the last `service info`, with its own job files.

use std::time::Instant;

use anyhow::ensure;
use holdfast_tests::edgectl::{Row, table};
use holdfast_tests::{AgentPlan, Fleet, STAND_IN_IMAGES, wait_for};

use holdfast_tests::site::{DETECTION, PATIENCE, Site, address, document_job};

const NGINX: &str = "hashicups-edge-hashicups-edge-nginx";

/// A node that knows its public address, as one in the document's cloud does.
fn node(name: &str, datacenter: &str) -> AgentPlan {
    AgentPlan::new(name)
        .datacenter(datacenter)
        .images(&STAND_IN_IMAGES)
        .public_address()
}

#[test]
fn the_edge_services_document_runs_end_to_end() {
    Fleet::scenario(|fleet| {
        let plans = vec![
            node("primary", "dc1"),
            node("edge-1", "dc2"),
            node("edge-2", "dc2"),
        ];
        let site = Site::start(fleet, plans)?;
        schedule(&site)?;
        verify(&site)?;
        let original = site.await_only_running("hashicups-edge")?;
        let replacement = disconnect(&site, &original)?;
        reconnect(&site, &original, &replacement)
    });
}

/// "Schedule HashiCups jobs": the monitor shows what the document shows.
fn schedule(site: &Site) -> anyhow::Result<()> {
    for job in ["hashicups", "hashicups-edge"] {
        let file = document_job(&format!("{job}.nomad.hcl"));
        let text = site.edgectl(&["job", "run", &file.to_string_lossy()])?;
        let shown: Vec<String> = text.lines().map(without_specifics).collect();
        for line in [
            "==> TIME: Monitoring evaluation ID".to_owned(),
            format!("    TIME: Evaluation triggered by job \"{job}\""),
            "    TIME: Evaluation within deployment: ID".to_owned(),
            format!("    TIME: Allocation ID created: node ID, group \"{job}\""),
            "    TIME: Evaluation status changed: \"pending\" -> \"complete\"".to_owned(),
            "==> TIME: Evaluation ID finished with status \"complete\"".to_owned(),
            "==> TIME: Monitoring deployment ID".to_owned(),
            format!("Job ID      = {job}"),
            "Job Version = 0".to_owned(),
            "Status      = successful".to_owned(),
            "Description = Deployment completed successfully".to_owned(),
            "Deployed".to_owned(),
        ] {
            ensure!(shown.contains(&line), "the monitor never said {line:?}:\n{text}");
        }
        let last = text.rsplit("Deployed\n").next().unwrap_or_default();
        let rows = table(last, "Task Group")?;
        let numbers = ["Desired", "Placed", "Healthy", "Unhealthy"].map(|column| rows[0][column].as_str());
        ensure!(
            rows[0]["Task Group"] == job && numbers == ["1", "1", "1", "0"],
            "{last}"
        );
    }
    Ok(())
}

/// A line of the monitor with its time and ids replaced by what they are.
fn without_specifics(line: &str) -> String {
    let is_time = |word: &str| word.len() >= 20 && word.starts_with("20") && word.contains('T');
    let is_id = |word: &str| {
        let bare = word.trim_matches(['"', ',']);
        bare.len() == 8 && word.starts_with('"') && bare.chars().all(|c| c.is_ascii_hexdigit())
    };
    let replace = |word: &str| {
        if is_time(word) {
            if word.ends_with(':') {
                "TIME:".to_owned()
            } else {
                "TIME".to_owned()
            }
        } else if is_id(word) {
            if word.ends_with(',') {
                "ID,".to_owned()
            } else {
                "ID".to_owned()
            }
        } else {
            word.to_owned()
        }
    };
    line.split(' ').map(replace).collect::<Vec<_>>().join(" ")
}

/// "Verify HashiCups jobs", and that each template has rendered what the catalogue says.
fn verify(site: &Site) -> anyhow::Result<()> {
    let services = table(&site.edgectl(&["service", "list"])?, "Service Name")?;
    let list: Vec<(&str, &str)> = services
        .iter()
        .map(|row| (row["Service Name"].as_str(), row["Tags"].as_str()))
        .collect();
    let expected = [
        ("hashicups-edge-hashicups-edge-frontend", "[frontend,hashicups]"),
        (NGINX, "[frontend,hashicups]"),
        (
            "hashicups-edge-hashicups-edge-payments-api",
            "[backend,hashicups]",
        ),
        ("hashicups-edge-hashicups-edge-public-api", "[backend,hashicups]"),
        ("hashicups-hashicups-db", "[backend,hashicups]"),
        ("hashicups-hashicups-product-api", "[backend,hashicups]"),
    ];
    ensure!(list == expected, "{list:?}");

    let nginx = site.services(NGINX)?;
    let original = site.await_only_running("hashicups-edge")?;
    let agent = &site.agents[site.index_of(&original)?];
    ensure!(
        nginx.len() == 1 && nginx[0]["Job ID"] == "hashicups-edge",
        "{nginx:?}"
    );
    ensure!(nginx[0]["Address"] == address(agent, 80), "{nginx:?}");
    ensure!(nginx[0]["Tags"] == "[hashicups,frontend]", "{nginx:?}");
    ensure!(
        nginx[0]["Alloc ID"] == original["ID"] && nginx[0]["Node ID"] == original["Node ID"],
        "{nginx:?}"
    );
    ensure!(site.ask(&address(agent, 80))?.contains("NOMAD_TASK_NAME=nginx\n"));

    let primary = &site.agents[0];
    wait_for("product-api to know its database", PATIENCE, || {
        let environment = site.ask(&address(primary, 9090))?;
        let expected = format!("DB_CONNECTION=host={} port=5432 user=postgres", primary.address());
        ensure!(environment.contains(&expected), "{environment}");
        Ok(())
    })?;
    knows_product_api(site, &address(agent, 8081))
}

/// The template of public-api: `env = true`, `change_mode = "noop"`, filled from the catalogue.
fn knows_product_api(site: &Site, public_api: &str) -> anyhow::Result<()> {
    let environment = site.ask(public_api)?;
    let expected = format!("PRODUCT_API_URI=http://{}\n", address(&site.agents[0], 9090));
    ensure!(
        environment.contains(&expected),
        "no {expected:?} in:\n{environment}"
    );
    Ok(())
}

/// "Simulate client disconnect" and "Verify disconnected client"; returns the replacement.
fn disconnect(site: &Site, original: &Row) -> anyhow::Result<Row> {
    let index = site.index_of(original)?;
    let containers = site.agents[index].machine.containers()?;
    site.cut(index)?;
    let cut = Instant::now();
    site.await_status("hashicups-edge", &original["ID"], "unknown")?;
    ensure!(
        cut.elapsed() < DETECTION,
        "noticed only after {:?}",
        cut.elapsed()
    );
    let rows = site.await_allocations("hashicups-edge", "a running replacement", |rows| {
        rows.len() == 2 && rows.iter().any(|row| row["Status"] == "running")
    })?;
    let replacement = rows.into_iter().find(|row| row["Status"] == "running").unwrap();
    ensure!(replacement["Node ID"] != original["Node ID"], "{replacement:?}");
    ensure!(
        replacement["Desired"] == "run" && replacement["Version"] == "0",
        "{replacement:?}"
    );

    let nginx = wait_for("both copies to be listed", PATIENCE, || {
        let nginx = site.services(NGINX)?;
        ensure!(nginx.len() == 2, "{nginx:?}");
        Ok(nginx)
    })?;
    for row in &nginx {
        ensure!(site.ask(&row["Address"])?.contains("NOMAD_TASK_NAME=nginx\n"));
    }
    // What runs on the node that is cut off neither stops, nor restarts, nor forgets.
    ensure!(
        site.agents[index].machine.containers()? == containers,
        "the cut has changed what runs"
    );
    knows_product_api(site, &address(&site.agents[index], 8081))?;
    Ok(replacement)
}

/// "Re-enable client connection": the original goes on, the replacement is complete.
fn reconnect(site: &Site, original: &Row, replacement: &Row) -> anyhow::Result<()> {
    let index = site.index_of(original)?;
    let containers = site.agents[index].machine.containers()?;
    site.heal(index)?;
    let stopped = site.await_status("hashicups-edge", &replacement["ID"], "complete")?;
    ensure!(stopped["Desired"] == "stop", "{stopped:?}");
    let survivor = site.await_status("hashicups-edge", &original["ID"], "running")?;
    ensure!(survivor["Desired"] == "run", "{survivor:?}");
    ensure!(
        site.agents[index].machine.containers()? == containers,
        "the survivor was restarted"
    );

    let events = site.alloc_status(&original["ID"])?;
    let reconnected = table(&events, "Time")?;
    let is_reconnect = |row: &Row| row["Type"] == "Reconnected" && row["Description"] == "Client reconnected";
    ensure!(reconnected.iter().any(is_reconnect), "{events}");

    let nginx = wait_for("one service instance", PATIENCE, || {
        let nginx = site.services(NGINX)?;
        ensure!(nginx.len() == 1, "{nginx:?}");
        Ok(nginx)
    })?;
    ensure!(nginx[0]["Alloc ID"] == original["ID"], "{nginx:?}");
    ensure!(
        site.ask(&nginx[0]["Address"])?
            .contains("NOMAD_TASK_NAME=nginx\n")
    );
    Ok(())
}
