//! Where a conformance test happens: this broker, or mosquitto, which shows that the test itself is right.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::UnixStream;

use crate::client::{Client, Hello, until};
use crate::house::{House, house};

/// A broker that tests can connect to.
pub(crate) enum Site {
    Ours(House),
    Mosquitto(Mosquitto),
}

/// A mosquitto of the test's own.
pub(crate) struct Mosquitto {
    child: Child,
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn ours() -> Self {
        Self::Ours(house())
    }

    /// `None`, with a note, where it is not installed.
    pub(crate) async fn mosquitto() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        // A socket in a private folder needs no port that somebody else might take.
        let config = format!(
            "listener 0 {}\nallow_anonymous true\npassword_file {}\nuser root\nmax_keepalive 65535\n",
            socket.display(),
            passwords(folder.path())?.display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let started = Command::new("mosquitto")
            .arg("-c")
            .arg(folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = started.unwrap();
        let mosquitto = Mosquitto { child, folder };
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        Some(Self::Mosquitto(mosquitto))
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    pub(crate) async fn open(&self) -> Client {
        match self {
            Self::Ours(house) => Client::open(house.address).await,
            Self::Mosquitto(mosquitto) => {
                let socket = mosquitto.folder.path().join("socket");
                Client::over(UnixStream::connect(socket).await.unwrap())
            }
        }
    }

    /// Connects and is let in; also returns whether the session was present.
    pub(crate) async fn enter(&self, hello: Hello<'_>) -> (Client, bool) {
        let mut client = self.open().await;
        client.send(&hello.packet()).await;
        let (session_present, code) = client.connack().await.expect("no CONNACK");
        assert_eq!(code, 0, "refused");
        (client, session_present)
    }
}

/// The same login as at the house of this broker.
fn passwords(folder: &Path) -> Option<std::path::PathBuf> {
    let file = folder.join("passwords");
    let outcome = Command::new("mosquitto_passwd")
        .args(["-c", "-b"])
        .arg(&file)
        .args(["admin", "secret"])
        .stderr(Stdio::null())
        .status();
    if outcome.is_ok_and(|status| status.success()) {
        return Some(file);
    }
    println!("note: mosquitto is not installed, the test was not tried on it");
    None
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
