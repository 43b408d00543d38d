//! The program `holdfast-coordinator`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use holdfast_coordinator::Server;
use holdfast_coordinator::config::{Config, SETTINGS};
use holdfast_settings::SettingsError;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("holdfast-coordinator: {error:#}");
    ExitCode::FAILURE
}

fn run() -> anyhow::Result<()> {
    let values = match SETTINGS.load(std::env::args_os().skip(1), std::env::vars()) {
        Err(SettingsError::Answer(text)) => {
            say(&text);
            return Ok(());
        }
        other => other?,
    };
    let config = Config::from_values(&values)?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_max_level(config.log_level)
        .with_writer(std::io::stderr)
        .init();
    // Everything but decisions happens on this one thread; they have one of their own.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let server = Server::start(config).await?;
    say(&format!("{}\n", server.summary()));
    tokio::select! {
        _ = terminate.recv() => info!(signal = "SIGTERM", "stopping"),
        _ = interrupt.recv() => info!(signal = "SIGINT", "stopping"),
        () = server.failed() => anyhow::bail!("the core has ended, see the log: this is a mistake in the program"),
    }
    server.stop().await;
    info!("stopped");
    Ok(())
}

/// Writes to standard output; whoever started us may not read it.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
