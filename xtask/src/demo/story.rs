//! The story that the demo tells, one chapter after the other; each ends with a check.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use holdfast_tests::edgectl::{Row, field, table};
use holdfast_tests::{
    Agent, AgentPlan, Coordinator, CoordinatorPlan, Fleet, STAND_IN_IMAGES, process, wait_for,
};

use crate::repository::root;

/// Longest wait for anything that the fleet does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// The job of the story, and its service.
const JOB: &str = "hello";

/// A fleet with what has been learned about it so far.
pub(crate) struct Story {
    start: Instant,
    // Dropped before the fleet they run in.
    agents: Vec<Agent>,
    coordinator: Coordinator,
    fleet: Fleet,
    /// What the summary repeats.
    learned: Vec<String>,
}

/// A fleet that outlives the demo.
pub(crate) struct Kept {
    /// Whoever holds it keeps the fleet alive.
    pub(crate) pipe: OwnedFd,
    /// Folder of the fleet.
    pub(crate) dir: PathBuf,
    /// Script that runs a command on one of its machines.
    pub(crate) shell: String,
    /// Address of the coordinator.
    pub(crate) coordinator: Ipv4Addr,
}

impl Story {
    /// Starts the coordinator and three nodes.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let start = Instant::now();
        say(
            start,
            "starting a coordinator and three nodes, each in a network of its own",
        );
        let fleet = Fleet::start()?;
        let coordinator = Coordinator::start(&fleet, CoordinatorPlan::default())?;
        let hello = &STAND_IN_IMAGES[STAND_IN_IMAGES.len() - 1..];
        let start_agent = |name: &str| {
            let plan = AgentPlan::new(name).datacenter("edge").images(hello);
            Agent::start(&fleet, &coordinator, plan)
        };
        let started: Vec<anyhow::Result<Agent>> = thread::scope(|scope| {
            let threads = ["edge-1", "edge-2", "edge-3"].map(|name| scope.spawn(move || start_agent(name)));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a start panicked"))))
                .collect()
        });
        let agents = started.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            start,
            agents,
            coordinator,
            fleet,
            learned: Vec::new(),
        })
    }

    /// Tells the whole story; an error names what went wrong in it.
    pub(crate) fn tell(&mut self) -> anyhow::Result<()> {
        for agent in &self.agents {
            agent.await_status(&self.coordinator, "ready", PATIENCE)?;
        }
        self.show(&["node", "status"])?;
        self.run_the_job()?;
        let original = self.only_running()?;
        self.cut_off(&original)?;
        let survivor = self.come_back(&original)?;
        self.power_cut(&survivor)
    }

    /// Prints what was shown.
    pub(crate) fn summarise(&self) {
        println!("\nSummary, after {:.0} s:", self.start.elapsed().as_secs_f64());
        for line in &self.learned {
            println!("  ✓ {line}");
        }
    }

    /// The last lines of every log.
    pub(crate) fn logs(&self) -> String {
        self.fleet.logs()
    }

    /// Ends the fleet and removes everything of it.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        drop((self.agents, self.coordinator));
        self.fleet.stop()?;
        println!("  ✓ nothing is left behind: no process, namespace, container or file");
        Ok(())
    }

    /// Takes the fleet apart so that it can outlive this process.
    pub(crate) fn keep(self) -> anyhow::Result<Kept> {
        let dir = self.fleet.dir().to_owned();
        let coordinator = self
            .coordinator
            .machine
            .address()
            .context("the coordinator has an address")?;
        let pids = [&self.coordinator.machine]
            .into_iter()
            .chain(self.agents.iter().map(|agent| &agent.machine))
            .map(|machine| format!("  {}) pid={} ;;\n", machine.name(), machine.pid()))
            .collect::<String>();
        let bin = process::binary("edgectl")?;
        let bin = bin.parent().context("a program stands in a folder")?.display();
        let shell = format!(
            "#!/bin/sh\n# Runs a command on a machine of this fleet. $1: machine, then the command.\ncase \"$1\" in\n{pids}  \
             *) echo \"no machine called $1\" >&2; exit 64 ;;\nesac\nshift\n\
             export NOMAD_ADDR=http://{} PATH=\"{bin}:$PATH\"\n\
             exec nsenter --target \"$pid\" --pid --mount --net --cgroup -- \"$@\"\n",
            self.coordinator.http()
        );
        for agent in self.agents {
            agent.let_go();
        }
        self.coordinator.let_go();
        Ok(Kept {
            pipe: self.fleet.hand_over()?,
            dir,
            shell,
            coordinator,
        })
    }

    fn run_the_job(&mut self) -> anyhow::Result<()> {
        say(
            self.start,
            "running demo/hello.nomad.hcl: a container and a plain process",
        );
        let file = root().join("demo/hello.nomad.hcl");
        self.show(&["job", "run", &file.to_string_lossy()])?;
        let address = self.service_addresses()?[0];
        let answer = self.ask(address)?;
        let greeting = answer
            .lines()
            .find(|line| line.starts_with("GREET="))
            .unwrap_or_default();
        say(self.start, &format!("GET http://{address}/ answers: {greeting}"));
        self.learned
            .push(format!("job {JOB} runs on podman and answers on {address}"));
        Ok(())
    }

    fn cut_off(&mut self, original: &Row) -> anyhow::Result<()> {
        let agent = self.agent_of(original)?;
        let name = agent.name().to_owned();
        say(
            self.start,
            &format!("cutting {name} off from the coordinator (iptables)"),
        );
        let cut = Instant::now();
        agent.machine.cut(&self.coordinator.machine)?;
        wait_for(
            "the allocation to be unknown and its replacement to run",
            PATIENCE,
            || {
                let rows = self.allocations()?;
                ensure!(status_of(&rows, &original["ID"])? == "unknown", "{rows:?}");
                ensure!(rows.iter().any(|row| row["Status"] == "running"), "{rows:?}");
                Ok(())
            },
        )?;
        let seconds = cut.elapsed().as_secs_f64();
        self.show(&["job", "status", JOB])?;
        self.show(&["service", "info", JOB])?;
        for address in self.service_addresses()? {
            self.ask(address)
                .with_context(|| format!("both copies have to answer, {address} does not"))?;
        }
        self.learned.push(format!(
            "{name} cut off: allocation {} unknown and its replacement running after {seconds:.1} s, both answering",
            original["ID"]
        ));
        Ok(())
    }

    fn come_back(&mut self, original: &Row) -> anyhow::Result<Row> {
        let agent = self.agent_of(original)?;
        say(self.start, &format!("healing the link of {}", agent.name()));
        agent.machine.heal(&self.coordinator.machine)?;
        let survivor = wait_for("one copy to be chosen", PATIENCE, || {
            let rows = self.allocations()?;
            let running: Vec<&Row> = rows.iter().filter(|row| row["Status"] == "running").collect();
            ensure!(
                running.len() == 1 && rows.iter().all(|row| row["Status"] != "unknown"),
                "{rows:?}"
            );
            Ok(running[0].clone())
        })?;
        let rows = self.show(&["job", "status", JOB])?;
        let stopped = table(&rows, "ID")?
            .into_iter()
            .find(|row| row["Desired"] == "stop");
        let stopped = stopped.context("no copy was stopped")?;
        let text = self
            .coordinator
            .edgectl()?
            .run(&["alloc", "status", &stopped["ID"]])?;
        let why = field(&text, "Desired Description")?.to_owned();
        let which = if survivor["ID"] == original["ID"] {
            "the original"
        } else {
            "the replacement"
        };
        say(
            self.start,
            &format!(
                "{which}, {}, lives on; {} was stopped: {why}",
                survivor["ID"], stopped["ID"]
            ),
        );
        self.learned
            .push(format!("link healed: {which} lives on ({why})"));
        Ok(survivor)
    }

    fn power_cut(&mut self, survivor: &Row) -> anyhow::Result<()> {
        let start = self.start;
        let address = self.service_addresses()?[0];
        let node = self.agent_of(survivor)?.name().to_owned();
        say(
            start,
            &format!("cutting {node} off and pulling its plug: containers killed and removed, processes too"),
        );
        let agent = self
            .agents
            .iter_mut()
            .find(|agent| agent.name() == node)
            .context("it was found above")?;
        agent.machine.cut(&self.coordinator.machine)?;
        let plug = Instant::now();
        agent.power_cycle(&self.fleet)?;
        wait_for("the tasks to come back without a coordinator", PATIENCE, || {
            let answer = agent
                .machine
                .http_get(SocketAddr::from((agent.address(), address.port())), "/")?;
            ensure!(answer.body.contains("GREET="), "{}", answer.body);
            let processes = agent.machine.run("ps", &["-e", "-o", "args="])?;
            ensure!(
                processes.contains("date +%s >clock"),
                "the plain process is not back:\n{processes}"
            );
            Ok(())
        })?;
        let seconds = plug.elapsed().as_secs_f64();
        println!("$ edgectl local status");
        println!("{}", indent(&agent.edgectl()?.run(&["local", "status"])?));
        say(start, &format!("healing the link of {node}"));
        agent.machine.heal(&self.coordinator.machine)?;
        agent.await_status(&self.coordinator, "ready", PATIENCE)?;
        self.learned.push(format!(
            "power cut on {node} with the coordinator out of reach: container and process back after {seconds:.1} s"
        ));
        Ok(())
    }

    /// Runs edgectl and shows what it prints.
    fn show(&self, args: &[&str]) -> anyhow::Result<String> {
        let text = self.coordinator.edgectl()?.run(args)?;
        println!("$ edgectl {}\n{}", args.join(" "), indent(&text));
        Ok(text)
    }

    fn allocations(&self) -> anyhow::Result<Vec<Row>> {
        table(&self.coordinator.edgectl()?.run(&["job", "status", JOB])?, "ID")
    }

    fn only_running(&self) -> anyhow::Result<Row> {
        wait_for("one running allocation", PATIENCE, || {
            let rows = self.allocations()?;
            ensure!(rows.len() == 1 && rows[0]["Status"] == "running", "{rows:?}");
            Ok(rows[0].clone())
        })
    }

    fn agent_of(&self, allocation: &Row) -> anyhow::Result<&Agent> {
        let nodes = table(&self.coordinator.edgectl()?.run(&["node", "status"])?, "ID")?;
        let node = nodes.iter().find(|node| node["ID"] == allocation["Node ID"]);
        let name = &node.with_context(|| format!("no node {}", allocation["Node ID"]))?["Name"];
        self.agents
            .iter()
            .find(|agent| agent.name() == name)
            .with_context(|| format!("no agent {name}"))
    }

    fn service_addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let rows = table(
            &self.coordinator.edgectl()?.run(&["service", "info", JOB])?,
            "Job ID",
        )?;
        rows.iter().map(|row| Ok(row["Address"].parse()?)).collect()
    }

    fn ask(&self, address: SocketAddr) -> anyhow::Result<String> {
        wait_for("the service to answer", PATIENCE, || {
            Ok(self.coordinator.machine.http_get(address, "/")?.body)
        })
    }
}

fn status_of<'r>(rows: &'r [Row], id: &str) -> anyhow::Result<&'r str> {
    let row = rows
        .iter()
        .find(|row| row["ID"] == id)
        .with_context(|| format!("no allocation {id}"))?;
    Ok(&row["Status"])
}

fn say(start: Instant, what: &str) {
    println!("[{:5.1} s] {what}", start.elapsed().as_secs_f64());
}

fn indent(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect()
}
