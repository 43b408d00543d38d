//! One recorded command, run again and compared.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use edgectl::Call;
use edgectl::environment::Environment;
use edgectl::output::{Console, Style};
use holdfast_shared::time::Timestamp;

use crate::bodies;
use crate::server::Server;

/// Where the recordings are: `HOLDFAST_SHARED`, or beside the repository.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("HOLDFAST_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    if folder.join("recorded/cli").is_dir() {
        return Some(folder);
    }
    eprintln!(
        "note: no recordings at {}; set HOLDFAST_SHARED to compare with them",
        folder.display()
    );
    None
}

/// Both streams of a run, in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command line against `server`; answers what it printed, and its exit code.
pub(crate) fn run(server: &Server, words: &[&str], now: Timestamp) -> (String, u8) {
    run_with(&[("EDGE_ADDR", &server.address)], words, Style::default(), now)
}

/// Runs a command line in an environment.
pub(crate) fn run_with(
    environment: &[(&str, &str)],
    words: &[&str],
    style: Style,
    now: Timestamp,
) -> (String, u8) {
    let environment: Environment = environment.iter().copied().collect();
    let argv = words.iter().map(|word| (*word).to_owned()).collect();
    let sink = Sink::default();
    let (mut out, mut err) = (sink.clone(), sink.clone());
    let exit = edgectl::run(
        Call {
            argv,
            environment,
            now,
        },
        Console::new(&mut out, &mut err, style),
    );
    (sink.text(), exit)
}

/// A recorded command.
pub(crate) struct Case {
    /// The coordinator that it asks.
    pub(crate) server: Server,
    name: &'static str,
    words: Vec<String>,
    expected: String,
    exit: u8,
}

impl Case {
    /// The recording whose file name starts with `name`; nothing where there are no recordings.
    pub(crate) fn load(name: &'static str) -> Option<Self> {
        let folder = shared()?.join("recorded");
        // Job files are named as they were when the command was recorded.
        std::env::set_current_dir(folder.join("jobs")).unwrap();
        let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        let mut files = std::fs::read_dir(folder.join("cli"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let text = std::fs::read_to_string(files.find(named).unwrap()).unwrap();
        let (command, rest) = text.split_once('\n').unwrap();
        let (expected, exit) = rest.rsplit_once("[exit ").unwrap();
        let words = command
            .trim_start_matches("$ ")
            .split(' ')
            .map(str::to_owned)
            .collect();
        let exit = exit.trim().trim_end_matches(']').parse().unwrap();
        let case = Self {
            server: Server::start(),
            name,
            words,
            expected: expected.to_owned(),
            exit,
        };
        case.server
            .on("/v1/agent/self", bodies::recorded("agent_self.json"));
        Some(case)
    }

    /// What was printed when it was recorded.
    pub(crate) fn text(&self) -> &str {
        &self.expected
    }

    /// Replaces text of the recording, where ours differs on purpose or by its nature.
    pub(crate) fn expecting(mut self, from: &str, to: &str) -> Self {
        assert!(
            self.expected.contains(from),
            "{}: `{from}` is not in the recording",
            self.name
        );
        self.expected = self.expected.replace(from, to);
        self
    }

    /// Runs it at `now` and compares.
    pub(crate) fn check(self, now: &str) {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let (printed, exit) = run(&self.server, &words, bodies::at(now));
        let printed = printed.replace(&self.server.address, "http://127.0.0.1:4646");
        assert_eq!(
            comparable(&printed),
            comparable(&self.expected),
            "{}\n{printed}",
            self.name
        );
        assert_eq!(exit, self.exit, "{}", self.name);
    }

    /// Runs it and compares, without regard to the times that a monitor prints.
    pub(crate) fn check_monitor(self) {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let (printed, exit) = run(&self.server, &words, bodies::at("2026-11-21T08:00:00Z"));
        let printed = printed.replace(&self.server.address, "http://127.0.0.1:4646");
        assert_eq!(
            without_times(&printed),
            without_times(&self.expected),
            "{}\n{printed}",
            self.name
        );
        assert_eq!(exit, self.exit, "{}", self.name);
    }
}

/// Recordings are in UTC. Where that is the local zone, every character counts; elsewhere times are longer, and
/// only the cells are compared.
fn comparable(text: &str) -> Vec<String> {
    let is_utc = edgectl::output::time::stamp(Timestamp::from_secs(1_000_000_000)).ends_with('Z');
    let cells = |line: &str| {
        without_times(line)
            .split("  ")
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join("|")
    };
    text.lines()
        .map(|line| if is_utc { line.to_owned() } else { cells(line) })
        .collect()
}

/// Every RFC 3339 time as `<time>`.
pub(crate) fn without_times(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_end().trim_end_matches(':');
        let is_time = bare.len() >= 20 && bare.parse::<jiff::Timestamp>().is_ok();
        if is_time {
            word.replace(bare, "<time>")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}
