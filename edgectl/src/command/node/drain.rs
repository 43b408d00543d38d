//! `node drain`: empties a node, changes that, leaves off, and watches.

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::{Allocation, DrainRequest, DrainSpec, DrainStrategy, Node};
use holdfast_shared::time::Duration as Span;

use super::Target;
use crate::client::{Request, segment};
use crate::command::confirm;
use crate::monitor::Pace;
use crate::output::time;
use crate::session::{DONE, Exit, FAILED, Session};

/// How long a node may take to become empty unless told otherwise.
const DEADLINE: Span = Span::from_secs(3600);

/// Flags of `node drain`.
#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    target: Target,
    /// Empty the node
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Leave off
    #[arg(long)]
    disable: bool,
    /// How long it may take before everything that is left is ended [default: 1h]
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["force", "no_deadline"])]
    deadline: Option<Span>,
    /// End everything at once
    #[arg(long, conflicts_with = "no_deadline")]
    force: bool,
    /// Take as long as it takes
    #[arg(long)]
    no_deadline: bool,
    /// Leave allocations of system jobs alone
    #[arg(long)]
    ignore_system: bool,
    /// After -disable, let the node take no allocations all the same
    #[arg(long)]
    keep_ineligible: bool,
    /// Why, for the record
    #[arg(short = 'm', value_name = "MESSAGE")]
    message: Option<String>,
    /// More for the record
    #[arg(long, value_name = "KEY=VALUE")]
    meta: Vec<String>,
    /// Only watch
    #[arg(long)]
    monitor: bool,
    /// Do not watch
    #[arg(long)]
    detach: bool,
    /// Do not ask first
    #[arg(long)]
    yes: bool,
}

impl Drain {
    /// What the coordinator is asked for.
    fn request(&self, node: &str) -> Result<DrainRequest> {
        let mut meta = BTreeMap::new();
        for pair in &self.meta {
            let Some((key, value)) = pair.split_once('=') else {
                bail!("-meta {pair:?} is no KEY=VALUE");
            };
            meta.insert(key.to_owned(), value.to_owned());
        }
        meta.extend(self.message.iter().map(|it| ("message".to_owned(), it.clone())));
        let deadline = match self.deadline {
            _ if self.force => Span(-1),
            _ if self.no_deadline => Span::ZERO,
            deadline => deadline.unwrap_or(DEADLINE),
        };
        Ok(DrainRequest {
            node_id: node.to_owned(),
            drain_spec: self.enable.then_some(DrainSpec {
                deadline,
                ignore_system_jobs: self.ignore_system,
            }),
            mark_eligible: self.disable && !self.keep_ineligible,
            meta,
        })
    }
}

/// Empties a node, or leaves off.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn run(session: &mut Session<'_>, args: &Drain) -> Result<Exit> {
    if !args.enable && !args.disable && !args.monitor {
        bail!("Either the '-enable' or '-disable' flag must be set, unless using '-monitor'");
    }
    let Some(id) = args.target.find(session)? else {
        return Ok(FAILED);
    };
    let path = format!("/v1/node/{}", segment(&id));
    let node: Node = session
        .client
        .fetch(&Request::get(&path))
        .context("Error toggling drain mode")?
        .decode()?;
    // What is there before anything moves: only against that can be told what moves.
    let mut watch = Watch::begin(session, &id, args.ignore_system, node.drain_strategy.clone())?;
    if !args.enable && !args.disable {
        let text = match &node.drain_strategy {
            Some(_) => format!("Monitoring node {id:?}: Ctrl-C to detach monitoring"),
            None => format!("No drain strategy set for node {id}"),
        };
        watch.tell(session, text);
        return if node.drain_strategy.is_some() {
            watch.until_empty(session)
        } else {
            Ok(DONE)
        };
    }
    let question = format!("Are you sure you want to enable drain mode for node {id:?}? [y/N] ");
    if args.enable
        && !args.yes
        && !confirm(
            session,
            &question,
            "add -yes to drain the node without being asked",
        )?
    {
        session.console.line("Canceling drain toggle");
        return Ok(DONE);
    }
    let request = Request::put(format!("{path}/drain"), args.request(&id)?);
    session
        .client
        .fetch(&request)
        .context("Error updating drain specification")?;
    if args.disable || args.detach {
        let state = if args.enable { "set" } else { "unset" };
        session
            .console
            .line(format_args!("Node {id:?} drain strategy {state}"));
        return Ok(DONE);
    }
    watch.tell(
        session,
        "Ctrl-C to stop monitoring: will not cancel the node drain",
    );
    watch.tell(session, format_args!("Node {id:?} drain strategy set"));
    watch.until_empty(session)
}

/// Watches a node until its drain is over and nothing runs there any more.
struct Watch {
    node: String,
    ignore_system: bool,
    seen: BTreeMap<String, Allocation>,
    strategy: Option<DrainStrategy>,
    is_drained: bool,
}

impl Watch {
    fn begin(
        session: &Session<'_>,
        node: &str,
        ignore_system: bool,
        strategy: Option<DrainStrategy>,
    ) -> Result<Self> {
        let found = super::of_node(session, node)?.into_iter();
        Ok(Self {
            node: node.to_owned(),
            ignore_system,
            seen: found.map(|it| (it.id.clone(), it)).collect(),
            strategy,
            is_drained: false,
        })
    }

    fn tell(&self, session: &mut Session<'_>, text: impl Display) {
        let line = format!("{}: {text}", time::stamp_now());
        session.console.line(line);
    }

    fn until_empty(&mut self, session: &mut Session<'_>) -> Result<Exit> {
        let path = format!("/v1/node/{}", segment(&self.node));
        let mut pace = Pace::default();
        loop {
            let reply = session
                .client
                .fetch(&pace.question(&path))
                .context("Error monitoring drain")?;
            pace.index = reply.index;
            let node: Node = reply.decode()?;
            let found = super::of_node(session, &self.node)?;
            let mut running = 0;
            for it in found {
                let counts = !self.ignore_system || !is_of_system_job(&it);
                let runs = matches!(it.client_status.as_str(), "pending" | "running");
                running += usize::from(counts && runs);
                self.tell_allocation(session, it);
            }
            self.tell_node(session, &node);
            if self.is_drained && running == 0 {
                self.tell(
                    session,
                    format_args!("All allocations on node {:?} have stopped", self.node),
                );
                return Ok(DONE);
            }
            pace.pause();
        }
    }

    /// Tells everything that is new about an allocation; one that nobody saw before is new here.
    fn tell_allocation(&mut self, session: &mut Session<'_>, it: Allocation) {
        let id = it.id.clone();
        if let Some(before) = self.seen.get(&id) {
            let moves = |it: &Allocation| it.desired_transition.migrate == Some(true);
            if moves(&it) && !moves(before) {
                self.tell(session, format_args!("Alloc {id:?} marked for migration"));
            }
            if moves(&it) && before.desired_status != it.desired_status && it.desired_status == "stop" {
                self.tell(session, format_args!("Alloc {id:?} draining"));
            }
            if before.client_status != it.client_status {
                let (from, to) = (&before.client_status, &it.client_status);
                self.tell(session, format_args!("Alloc {id:?} status {from} -> {to}"));
            }
        }
        self.seen.insert(id, it);
    }

    fn tell_node(&mut self, session: &mut Session<'_>, node: &Node) {
        if self.is_drained {
            return;
        }
        if node.drain_strategy.is_none() {
            self.is_drained = true;
            self.tell(session, format_args!("Drain complete for node {}", self.node));
            return;
        }
        if node.status == "down" {
            self.tell(session, format_args!("Node {:?} down", self.node));
        }
        let before = std::mem::replace(&mut self.strategy, node.drain_strategy.clone());
        if before.is_some() && before != self.strategy {
            self.tell(session, format_args!("Node {:?} drain updated", self.node));
        }
    }
}

fn is_of_system_job(it: &Allocation) -> bool {
    let job = it.job.as_deref();
    job.is_some_and(|job| job.kind.as_deref() == Some("system"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::command::node::Verb;

    fn request(flags: &str) -> DrainRequest {
        let words = ["edgectl", "node", "drain"]
            .into_iter()
            .chain(flags.split(' '))
            .chain(["ab"]);
        let mut root = crate::cli::command();
        root.build();
        let words = crate::argv::normalize(&root, words.skip(1).map(str::to_owned));
        let cli = Cli::try_parse_from(["edgectl".to_owned()].into_iter().chain(words)).unwrap();
        match cli.command {
            Command::Node {
                verb: Verb::Drain(args),
            } => args.request("ab").unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_what_the_coordinator_is_asked_for() {
        for (flags, deadline, mark_eligible) in [
            ("-enable", Some(3600 * 1_000_000_000), false),
            ("-enable -force", Some(-1), false),
            ("-enable -no-deadline", Some(0), false),
            ("-enable -deadline 20s", Some(20 * 1_000_000_000), false),
            ("-disable", None, true),
            ("-disable -keep-ineligible", None, false),
        ] {
            let asked = request(flags);
            let got = (asked.drain_spec.map(|spec| spec.deadline.0), asked.mark_eligible);
            assert_eq!(got, (deadline, mark_eligible), "{flags}");
        }
        let noted = request("-enable -ignore-system -m why -meta a=b -meta c=d=e");
        assert!(noted.drain_spec.unwrap().ignore_system_jobs);
        let pairs: Vec<String> = noted
            .meta
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        assert_eq!(pairs, ["a:b", "c:d=e", "message:why"]);
    }
}
