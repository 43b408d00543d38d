//! The program `holdfast-coordinator`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use holdfast_coordinator::config::{Config, SETTINGS, environment};
use holdfast_coordinator::{Server, memory};
use holdfast_settings::SettingsError;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Ten thousand nodes come and go; what they leave behind must not stay.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("holdfast-coordinator: {error:#}");
    ExitCode::FAILURE
}

fn run() -> anyhow::Result<()> {
    let values = match SETTINGS.load(std::env::args_os().skip(1), environment()) {
        Err(SettingsError::Answer(text)) => {
            say(&text);
            return Ok(());
        }
        other => other?,
    };
    let config = Config::from_values(&values)?;
    let log = tracing_subscriber::fmt().with_ansi(std::io::stderr().is_terminal());
    log.with_max_level(config.log_level)
        .with_writer(std::io::stderr)
        .init();
    // Everything but decisions happens on this one thread; they have one of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let server = Server::start(config).await?;
    say(&format!("{}\n", server.summary()));
    tokio::select! {
        _ = terminate.recv() => info!(signal = "SIGTERM", "stopping"),
        _ = interrupt.recv() => info!(signal = "SIGINT", "stopping"),
        () = server.failed() => anyhow::bail!("the core has ended, see the log: this is a mistake in the program"),
        never = memory::ebb() => match never {},
    }
    server.stop().await;
    info!("stopped");
    Ok(())
}

/// Writes to standard output; whoever started us may not read it.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
