//! Ctrl-C in the middle of a restart: whoever presses it is asked whether they mean it, and nothing more is restarted before
//! they have answered.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::wishes::Answer;
use super::{invalid, stamped};

const QUESTION: &str = "Restart interrupted, no more allocations will be restarted.\nAre you sure you want to stop the restart \
                        process? [y/N] ";

/// Who may go on, and who is asked something.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupts {
    /// Whoever asks a question has it.
    floor: Arc<Mutex<()>>,
    /// Whether a question is open: Ctrl-C is an answer then, and ends the command.
    is_asking: Arc<AtomicBool>,
}

/// Nobody else asks or goes on while it lives.
#[derive(Debug)]
pub(super) struct Floor<'a> {
    is_asking: &'a AtomicBool,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Floor<'_> {
    fn drop(&mut self) {
        self.is_asking.store(false, Ordering::Relaxed);
    }
}

impl Interrupts {
    /// Asks at every Ctrl-C from now on. Where nobody is there to answer, it ends the command as ever.
    pub(super) fn watch() -> Result<Self> {
        let interrupts = Self::default();
        if !io::stdin().is_terminal() {
            return Ok(interrupts);
        }
        let asking = Arc::clone(&interrupts.is_asking);
        flag::register_conditional_shutdown(SIGINT, 0, asking).context("Error watching for Ctrl-C")?;
        let mut signals = Signals::new([SIGINT]).context("Error watching for Ctrl-C")?;
        let theirs = interrupts.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                let _floor = theirs.hold();
                if is_meant() {
                    // A terminal that is gone is no reason to go on.
                    let _ = writeln!(io::stdout(), "\nCanceling job restart process");
                    std::process::exit(0);
                }
            }
        });
        Ok(interrupts)
    }

    /// Waits while somebody is asked.
    pub(super) fn pass(&self) {
        drop(self.floor.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes the floor, to ask something.
    pub(super) fn hold(&self) -> Floor<'_> {
        let guard = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_asking.store(true, Ordering::Relaxed);
        Floor {
            is_asking: &self.is_asking,
            _guard: guard,
        }
    }
}

/// Whether the restart is to end. Who answers nothing at all meant it.
fn is_meant() -> bool {
    loop {
        let mut out = io::stdout();
        let asked = write!(out, "{}", stamped(QUESTION)).and_then(|()| out.flush());
        let mut line = String::new();
        if asked.is_err() || !matches!(io::stdin().lock().read_line(&mut line), Ok(1..)) {
            return true;
        }
        match Answer::parse(&line, false, false) {
            Some(Answer::Yes) => return true,
            Some(_) => return false,
            None => {
                let _ = writeln!(out, "{}", invalid(&line));
            }
        }
    }
}
