//! The thread behind all log files: inotify in, bytes out.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use tokio::sync::oneshot;

use super::live::LiveLog;
use super::rotation::LogFiles;
use super::spool::SpoolCopy;
use crate::task::{LogLimits, TaskId};

/// After work was done the thread lets more of it gather for this long.
const GATHER: Duration = Duration::from_millis(200);

/// How soon files are tried again after the disk took nothing.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the log files of all tasks of one agent. Clones share one thread, which starts with the first task.
#[derive(Clone, Debug, Default)]
pub struct LogPump(Arc<Mutex<Option<Thread>>>);

#[derive(Debug)]
struct Thread {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
}

#[derive(Debug)]
enum Command {
    Spool {
        task: TaskId,
        dir: PathBuf,
        limits: LogLimits,
    },
    Live {
        task: TaskId,
        dir: PathBuf,
        limits: LogLimits,
    },
    Drain {
        task: TaskId,
        done: oneshot::Sender<()>,
    },
    Finish {
        task: TaskId,
        done: oneshot::Sender<()>,
    },
}

impl LogPump {
    /// Copies a container's spool from now on, continuing an earlier copy.
    pub(crate) fn copy_spool(&self, task: &TaskId, dir: &Path, limits: &LogLimits) {
        self.send(Command::Spool {
            task: task.clone(),
            dir: dir.to_owned(),
            limits: limits.clone(),
        });
    }

    /// Rotates the files that a task writes itself from now on.
    pub(crate) fn rotate_live(&self, task: &TaskId, dir: &Path, limits: &LogLimits) {
        self.send(Command::Live {
            task: task.clone(),
            dir: dir.to_owned(),
            limits: limits.clone(),
        });
    }

    /// Copies what is there now; afterwards the log files are complete up to this call.
    pub(crate) async fn drain(&self, task: &TaskId) {
        let (done, wait) = oneshot::channel();
        self.send(Command::Drain {
            task: task.clone(),
            done,
        });
        // The thread answers or is gone; either way there is nothing more to wait for.
        let _ = wait.await;
    }

    /// Copies the rest, removes the spool and forgets the task.
    pub(crate) async fn finish(&self, task: &TaskId) {
        let (done, wait) = oneshot::channel();
        self.send(Command::Finish {
            task: task.clone(),
            done,
        });
        let _ = wait.await;
    }

    fn send(&self, command: Command) {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            match Thread::start() {
                Ok(started) => *thread = Some(started),
                Err(error) => {
                    tracing::error!(%error, "cannot start the log thread; tasks run without log files")
                }
            }
        }
        if let Some(thread) = thread.as_ref() {
            if thread.commands.send(command).is_err() {
                tracing::error!("the log thread has ended");
            }
            thread.wake();
        }
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let wake = Arc::new(rustix::event::eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?);
        let (commands, receiver) = mpsc::channel();
        let worker = Worker {
            inotify,
            wake: wake.clone(),
            commands: receiver,
            sources: BTreeMap::new(),
        };
        std::thread::Builder::new()
            .name("task-logs".into())
            .stack_size(256 << 10)
            .spawn(move || worker.run())?;
        Ok(Self { commands, wake })
    }

    fn wake(&self) {
        // It only fails when a wake-up is pending already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel();
        self.commands = closed;
        self.wake();
    }
}

#[derive(Debug)]
enum Source {
    Spool(SpoolCopy),
    Live([LiveLog; 2]),
}

#[derive(Debug)]
struct Watched {
    source: Source,
    watches: BTreeSet<i32>,
    /// The disk took nothing when it was tried last.
    failing: bool,
}

#[derive(Debug)]
struct Worker {
    inotify: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Receiver<Command>,
    sources: BTreeMap<TaskId, Watched>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let mut fds = [
                PollFd::new(&self.inotify, PollFlags::IN),
                PollFd::new(&*self.wake, PollFlags::IN),
            ];
            let retry = Timespec::try_from(RETRY).expect("a few seconds fit");
            let retry = self.failing().next().map(|_| &retry);
            if let Err(error) = rustix::event::poll(&mut fds, retry)
                && error != rustix::io::Errno::INTR
            {
                tracing::error!(%error, "the log thread cannot wait for work");
                return;
            }
            let mut changed = self.changed();
            changed.extend(self.failing().cloned());
            for task in &changed {
                self.work(task);
            }
            if !self.obey() {
                return;
            }
            if !changed.is_empty() {
                self.gather();
            }
        }
    }

    fn failing(&self) -> impl Iterator<Item = &TaskId> {
        self.sources
            .iter()
            .filter(|(_, watched)| watched.failing)
            .map(|(task, _)| task)
    }

    /// Waits a moment so that many small writes cost one wake-up; commands cut it short.
    fn gather(&self) {
        let pause = Timespec::try_from(GATHER).expect("a fifth of a second fits");
        let mut fds = [PollFd::new(&*self.wake, PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, Some(&pause));
    }

    /// The tasks whose files changed.
    fn changed(&self) -> BTreeSet<TaskId> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut watches = BTreeSet::new();
        let mut overflow = false;
        while let Ok(event) = reader.next() {
            overflow |= event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
            watches.insert(event.wd());
        }
        let touched = |watched: &Watched| overflow || !watched.watches.is_disjoint(&watches);
        self.sources
            .iter()
            .filter(|(_, watched)| touched(watched))
            .map(|(task, _)| task.clone())
            .collect()
    }

    /// Carries out commands; false when there will be no more.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Spool { task, dir, limits }) => {
                    // A second copy of one spool would wait for the first.
                    if !self.sources.contains_key(&task) {
                        let opened = SpoolCopy::open(&dir, &task.task, &limits).map(Source::Spool);
                        self.add(task, opened);
                    }
                }
                Ok(Command::Live { task, dir, limits }) => {
                    let logs = ["stdout", "stderr"]
                        .map(|stream| LiveLog::new(LogFiles::new(&dir, &task.task, stream, &limits)));
                    self.add(task, Ok(Source::Live(logs)));
                }
                Ok(Command::Drain { task, done }) => {
                    self.work(&task);
                    let _ = done.send(());
                }
                Ok(Command::Finish { task, done }) => {
                    self.finish(&task);
                    let _ = done.send(());
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn add(&mut self, task: TaskId, source: io::Result<Source>) {
        if self.sources.contains_key(&task) {
            return;
        }
        match source {
            Ok(source) => {
                self.sources.insert(
                    task.clone(),
                    Watched {
                        source,
                        watches: BTreeSet::new(),
                        failing: false,
                    },
                );
                self.watch(&task);
                self.work(&task);
            }
            Err(error) => {
                tracing::error!(%error, alloc = task.alloc, task = task.task, "cannot open the task's log files");
            }
        }
    }

    fn watch(&mut self, task: &TaskId) {
        let Some(watched) = self.sources.get_mut(task) else {
            return;
        };
        let paths = match &watched.source {
            Source::Spool(spool) => vec![spool.path().to_owned()],
            Source::Live(logs) => logs.iter().map(LiveLog::path).collect(),
        };
        let interest = inotify::WatchFlags::MODIFY | inotify::WatchFlags::ATTRIB;
        for path in paths {
            match inotify::add_watch(&self.inotify, &path, interest) {
                Ok(watch) => drop(watched.watches.insert(watch)),
                Err(error) => tracing::error!(%error, path = %path.display(), "cannot watch a log file"),
            }
        }
    }

    fn work(&mut self, task: &TaskId) {
        let Some(watched) = self.sources.get_mut(task) else {
            return;
        };
        let rotated = match &mut watched.source {
            Source::Spool(spool) => spool.drain(),
            Source::Live(logs) => logs
                .iter_mut()
                .try_for_each(LiveLog::rotate_if_full)
                .map(|()| false),
        };
        // Once, however often it is tried.
        let known = std::mem::replace(&mut watched.failing, rotated.is_err());
        match rotated {
            Ok(true) => self.watch(task),
            Err(error) if !known => {
                tracing::error!(%error, alloc = task.alloc, task = task.task, "cannot write the task's log files");
            }
            _ => {}
        }
    }

    fn finish(&mut self, task: &TaskId) {
        let Some(watched) = self.sources.remove(task) else {
            return;
        };
        for watch in watched.watches {
            // A file that is gone took its watch along.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
        if let Source::Spool(spool) = watched.source
            && let Err(error) = spool.finish()
        {
            tracing::warn!(%error, alloc = task.alloc, task = task.task, "cannot finish the task's log files");
        }
    }
}
