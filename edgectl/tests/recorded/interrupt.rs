//! Ctrl-C in the middle of `job restart`, in a real terminal.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::job_restart::{detail, serve};
use crate::server::Server;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command in a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    chunks: Receiver<Vec<u8>>,
    /// What was printed and not waited for yet.
    seen: String,
}

impl Terminal {
    fn run(server: &Server, arguments: &str) -> Self {
        // With `exec`, as a shell that got Ctrl-C too may end with 130 whatever edgectl says.
        let command = format!("exec {} {arguments}", env!("CARGO_BIN_EXE_edgectl"));
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("EDGE_ADDR", &server.address)
            .env("NOMAD_CLI_NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(1..) = screen.read(&mut buffer).inspect(|read| {
                let _ = sender.send(buffer[..*read].to_vec());
            }) {}
        });
        Self {
            child,
            keys,
            chunks,
            seen: String::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until `text` was printed behind what was waited for before.
    fn await_text(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            let more = self.chunks.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("waits for {text:?} behind {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// A restart of three allocations that waits for the first one to run again.
fn restarting() -> (Server, Terminal) {
    let server = Server::start();
    serve(&server, &["3dff24c1", "53660202", "633fcd79"], 0);
    let mut terminal = Terminal::run(&server, "job restart web");
    terminal.await_text("Restarting running tasks in allocation \"3dff24c1\"");
    (server, terminal)
}

fn told(server: &Server, id: &str) -> usize {
    server.sent(&format!("/v1/client/allocation/{id}/restart")).len()
}

#[test]
fn ctrl_c_in_the_middle_of_a_restart_is_a_question_and_no_is_an_answer() {
    let (server, mut terminal) = restarting();
    terminal.press("\x03");
    terminal.await_text("Restart interrupted, no more allocations will be restarted.");
    terminal.await_text("Are you sure you want to stop the restart process? [y/N] ");
    // The first one runs again, and still nothing happens to the second one.
    server.on("/v1/allocation/3dff24c1", detail("3dff24c1", "running", 1));
    terminal.press("perhaps\n");
    terminal.await_text("Invalid answer \"perhaps\"");
    terminal.await_text("[y/N] ");
    assert_eq!(told(&server, "53660202"), 0);
    terminal.press("n\n");
    terminal.await_text("Restarting running tasks in allocation \"53660202\"");

    terminal.press("\x03");
    terminal.await_text("[y/N] ");
    terminal.press("y\n");
    terminal.await_text("Canceling job restart process");
    assert_eq!(terminal.exit_code(), Some(0));
    assert_eq!((told(&server, "53660202"), told(&server, "633fcd79")), (1, 0));
}

#[test]
fn ctrl_c_at_the_question_ends_the_restart() {
    let (server, mut terminal) = restarting();
    terminal.press("\x03");
    terminal.await_text("[y/N] ");
    terminal.press("\x03");
    assert_eq!(terminal.exit_code(), Some(0));
    assert_eq!(told(&server, "53660202"), 0);
}
