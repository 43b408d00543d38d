//! The operator's command line: the commands, flags and output of Nomad's, over Holdfast's coordinator.
//!
//! * [`argv`] makes what people type into what clap reads; [`cli`] is the tree of commands;
//! * [`client`] speaks HTTP; [`jobfile`] reads job files; [`ids`] completes short ids; [`monitor`] watches;
//! * [`command`] holds the commands, a file a noun; [`output`] everything that prints.
//!
//! Deliberately knows no more of the coordinator than its HTTP interface says.

pub mod argv;
pub mod cli;
pub mod client;
pub mod command;
pub mod environment;
pub mod ids;
pub mod jobfile;
pub mod monitor;
pub mod output;
pub mod session;

use std::path::Path;

use clap::FromArgMatches as _;

use cli::Cli;
use client::Client;
use environment::Environment;
use holdfast_shared::time::Timestamp;
use output::{Console, Style};
use session::{DONE, Exit, FAILED, Session};

/// One command line, and the world it is run in.
#[derive(Debug, Clone)]
pub struct Call {
    /// The arguments, the program's name first.
    pub argv: Vec<String>,
    /// The environment variables.
    pub environment: Environment,
    /// The wall clock when it was given.
    pub now: Timestamp,
}

/// Runs a command line.
pub fn run(call: Call, mut console: Console<'_>) -> Exit {
    let Call {
        argv,
        environment,
        now,
    } = call;
    let called = argv.first().map_or("edgectl", String::as_str);
    let program = match Path::new(called).file_name().and_then(|name| name.to_str()) {
        Some("nomad") => "nomad",
        _ => "edgectl",
    };
    let mut tree = cli::command().name(program).bin_name(program);
    tree.build();
    let arguments = argv::normalize(&tree, argv.iter().skip(1).cloned());
    let parsed = tree
        .try_get_matches_from_mut(std::iter::once(program.to_owned()).chain(arguments))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return explain(&error, &mut console),
    };
    let color = cli.connection.wants_color(&environment, console.style.terminal);
    console.style = Style {
        color,
        ..console.style
    };
    match cli.connection.settings(&environment).and_then(Client::new) {
        Ok(client) => {
            let mut session = Session {
                client,
                console,
                environment,
                program: program.to_owned(),
                now,
            };
            let outcome = cli.command.run(&mut session);
            outcome.unwrap_or_else(|error| {
                session.console.error(format_args!("{error:#}"));
                FAILED
            })
        }
        Err(error) => {
            console.error(error);
            FAILED
        }
    }
}

/// Help goes to standard output; what was typed wrongly, and how to type it, to standard error.
fn explain(error: &clap::Error, console: &mut Console<'_>) -> Exit {
    if error.use_stderr() {
        console.error(error.to_string().trim_end());
        FAILED
    } else {
        console.text(error);
        DONE
    }
}
