//! The agent's program: settings, logging, and one thread that runs everything.

use std::process::ExitCode;

use anyhow::Context as _;
use holdfast_agent::config::{Config, ConfigError};
use holdfast_agent::start;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|arg| arg == start::SUPERVISE) {
        // A task may have huge pages; the agent may not.
        let _ = rustix::thread::disable_transparent_huge_pages(false);
        return holdfast_drivers::supervise::main();
    }
    match Config::load(args, std::env::vars()) {
        Err(ConfigError::Settings(answer)) => {
            let code = answer.exit_code();
            if code == 0 {
                println!("{answer}")
            } else {
                eprintln!("{answer}")
            }
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Ok(config) => match run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    // On a small box huge pages triple the agent's memory. A kernel without them has nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    tracing_subscriber::fmt()
        .with_max_level(config.log_level)
        .with_writer(std::io::stderr)
        .init();
    // Threads for what blocks: rendering, and name servers that do not answer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build()
        .context("cannot set up the event loop")?;
    runtime
        .block_on(start::run(config))
        .context("the agent cannot start")
}
