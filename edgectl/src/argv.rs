//! What people are used to type, made into what clap understands.
//!
//! Go programs write long flags with one dash (`-check-index 7`, `-detach=false`) and the original has a one-word
//! alias for many commands (`run`, `node-status`). Both are rewritten here, by the command tree itself: the shim knows
//! no flag by name.

use clap::{Arg, ArgAction, Command};

/// One-word commands of old, and what they stand for.
const ALIASES: &[(&str, &[&str])] = &[
    ("run", &["job", "run"]),
    ("plan", &["job", "plan"]),
    ("stop", &["job", "stop"]),
    ("validate", &["job", "validate"]),
    ("inspect", &["job", "inspect"]),
    ("init", &["job", "init"]),
    ("logs", &["alloc", "logs"]),
    ("exec", &["alloc", "exec"]),
    ("fs", &["alloc", "fs"]),
    ("alloc-status", &["alloc", "status"]),
    ("eval-status", &["eval", "status"]),
    ("node-status", &["node", "status"]),
    ("node-drain", &["node", "drain"]),
    ("server-members", &["server", "members"]),
    ("server-join", &["server", "join"]),
    ("server-force-leave", &["server", "force-leave"]),
];

/// Flags of old that act like commands, and what they stand for.
const FLAG_COMMANDS: &[(&str, &[&str])] = &[
    ("version", &["version"]),
    ("v", &["version"]),
    ("autocomplete-install", &["completion", "install"]),
    ("autocomplete-uninstall", &["completion", "uninstall"]),
];

/// Rewrites the arguments behind the program's name for the (built) command tree `root`.
pub fn normalize(root: &Command, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut walk = Walk {
        at: root,
        root,
        is_first_word: true,
        done: Vec::new(),
    };
    let mut pending: Vec<String> = arguments.into_iter().collect();
    pending.reverse();
    while let Some(token) = pending.pop() {
        if token == "--" {
            walk.done.push(token);
            break;
        }
        match token.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            Some(rest) => walk.flag(rest, &mut pending),
            None => walk.word(token),
        }
    }
    walk.done.extend(pending.into_iter().rev());
    walk.done
}

struct Walk<'a> {
    root: &'a Command,
    /// The command that the words so far lead to.
    at: &'a Command,
    is_first_word: bool,
    done: Vec<String>,
}

impl Walk<'_> {
    fn word(&mut self, word: String) {
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| self.is_first_word && *alias == word);
        self.is_first_word = false;
        let words = alias.map_or_else(
            || vec![word],
            |(_, words)| words.iter().map(|it| (*it).to_owned()).collect(),
        );
        for word in words {
            if let Some(command) = self.at.find_subcommand(&word) {
                self.at = command;
            }
            self.done.push(word);
        }
    }

    /// Takes a flag without its first dash, and its value from what is still pending.
    fn flag(&mut self, rest: &str, pending: &mut Vec<String>) {
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let (name, value) = rest
            .split_once('=')
            .map_or((rest, None), |(name, value)| (name, Some(value)));
        if let Some((_, words)) = FLAG_COMMANDS
            .iter()
            .find(|(flag, _)| self.is_first_word && *flag == name)
        {
            self.is_first_word = false;
            self.done.extend(words.iter().map(|word| (*word).to_owned()));
            return;
        }
        let written = if name.chars().count() == 1 {
            format!("-{name}")
        } else {
            format!("--{name}")
        };
        let Some(argument) = self.find(name) else {
            // Left to clap, which names the flag and suggests one that exists.
            self.done
                .push(value.map_or_else(|| written.clone(), |value| format!("{written}={value}")));
            return;
        };
        if !takes_value(argument) {
            match value {
                None | Some("true" | "1" | "t") => self.done.push(written),
                Some("false" | "0" | "f") => {}
                Some(other) => self.done.push(format!("{written}={other}")),
            }
            return;
        }
        // A switch that may be given a value never takes the next word for it.
        let is_switch = argument.is_require_equals_set();
        let next = || if is_switch { None } else { pending.pop() };
        // Joined, so that a value may start with a dash.
        match value.map(str::to_owned).or_else(next) {
            Some(value) => self.done.push(format!("{written}={value}")),
            None => self.done.push(written),
        }
    }

    fn find(&self, name: &str) -> Option<&Arg> {
        let is_named = |argument: &&Arg| {
            argument.get_long() == Some(name)
                || argument.get_short().is_some_and(|short| name.chars().eq([short]))
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&name))
        };
        self.at
            .get_arguments()
            .find(is_named)
            .or_else(|| self.root.get_arguments().find(is_named))
    }
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Command {
        let mut root = crate::cli::command();
        root.build();
        root
    }

    #[test]
    fn one_dash_and_two_mean_the_same() {
        let root = tree();
        for (typed, meant) in [
            (
                "job run -check-index 7 -detach web.hcl",
                "job run --check-index=7 --detach web.hcl",
            ),
            (
                "job run --check-index=7 -detach=false web.hcl",
                "job run --check-index=7 web.hcl",
            ),
            ("-address=http://x:1 status", "--address=http://x:1 status"),
            ("status -region west", "status --region=west"),
            ("run -var k=v -", "job run --var=k=v -"),
            ("run -var -odd -verbose", "job run --var=-odd --verbose"),
            ("node-status -json", "node status --json"),
            (
                "-region east node-status -t {{.}}",
                "--region=east node status -t={{.}}",
            ),
            ("job status run", "job status run"),
            ("job status --t={{.}} web", "job status -t={{.}} web"),
            ("-autocomplete-install", "completion install"),
            ("job status -version", "job status --version"),
            ("job status -- -web", "job status -- -web"),
            ("job status -unheard-of", "job status --unheard-of"),
        ] {
            let done = normalize(&root, typed.split(' ').map(str::to_owned));
            assert_eq!(done.join(" "), meant);
        }
    }
}
