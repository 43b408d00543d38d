//! A coordinator of canned answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// One canned answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    body: String,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self {
            status: 200,
            body: body.to_string(),
        }
    }
}

impl Answer {
    /// A refusal.
    pub(crate) fn refusal(status: u16, text: &str) -> Self {
        Self {
            status,
            body: text.to_owned(),
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Method, path and query as they came.
    pub(crate) line: String,
    /// Headers by lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

#[derive(Debug, Default)]
struct Script {
    /// What is left to answer, by method and path; the last answer is given again and again.
    answers: BTreeMap<String, Vec<Answer>>,
    asked: Vec<Question>,
}

/// The server. It ends with the test's process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            address,
            script: Arc::default(),
        };
        let script = Arc::clone(&server.script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                std::thread::spawn(move || serve(&stream, &script));
            }
        });
        server
    }

    /// Answers `GET path` with `answer`; more than one is given in order.
    pub(crate) fn on(&self, path: &str, answer: impl Into<Answer>) -> &Self {
        self.on_method("GET", path, answer)
    }

    /// Answers `method path` with `answer`.
    pub(crate) fn on_method(&self, method: &str, path: &str, answer: impl Into<Answer>) -> &Self {
        let mut script = self.script.lock().unwrap();
        script
            .answers
            .entry(format!("{method} {path}"))
            .or_default()
            .push(answer.into());
        self
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Question> {
        self.script.lock().unwrap().asked.clone()
    }

    /// The bodies that were sent to `path`.
    pub(crate) fn sent(&self, path: &str) -> Vec<Value> {
        let asked = self.asked();
        let of_path = asked
            .iter()
            .filter(|it| it.line.split([' ', '?']).nth(1) == Some(path));
        of_path
            .filter_map(|it| serde_json::from_str(&it.body).ok())
            .collect()
    }
}

fn serve(stream: &TcpStream, script: &Mutex<Script>) {
    let mut reader = BufReader::new(stream);
    while let Some(question) = read(&mut reader) {
        let key = question.line.split('?').next().unwrap_or_default().to_owned();
        let mut script = script.lock().unwrap();
        script.asked.push(question);
        let answer = match script.answers.get_mut(&key) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Answer {
                status: 404,
                body: String::new(),
            },
        };
        let (status, length) = (answer.status, answer.body.len());
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nX-Nomad-Index: 7\r\n\r\n");
        let mut stream = stream;
        if stream
            .write_all(format!("{head}{}", answer.body).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Question> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line
        .rsplit_once(' ')
        .map_or(line.as_str(), |(line, _)| line)
        .to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    std::io::Read::read_exact(reader, &mut body).ok()?;
    Some(Question {
        line,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
