//! Completion for shells: printed, or put where the shell looks for it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clap_complete::Shell;

use crate::environment::Environment;
use crate::session::{DONE, Exit, Session};

/// Flags of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// bash, zsh or fish; install and uninstall act on the shell of this session
    #[arg(value_name = "SHELL")]
    what: Target,
}

/// What `completion` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Print the completion of bash
    Bash,
    /// Print the completion of zsh
    Zsh,
    /// Print the completion of fish
    Fish,
    /// Put the completion where the shell of this session looks for it
    Install,
    /// Take it away again
    Uninstall,
}

/// Prints, installs or removes completion.
///
/// # Errors
/// When the shell is not known, or files cannot be written.
pub fn run(session: &mut Session<'_>, args: &Completion) -> Result<Exit> {
    match args.what {
        Target::Bash => print(session, Shell::Bash),
        Target::Zsh => print(session, Shell::Zsh),
        Target::Fish => print(session, Shell::Fish),
        Target::Install => install(session)?,
        Target::Uninstall => uninstall(session)?,
    }
    Ok(DONE)
}

fn print(session: &mut Session<'_>, shell: Shell) {
    let script = script(&session.program, shell);
    session.console.text(script);
}

fn script(program: &str, shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), program, &mut bytes);
    String::from_utf8(bytes).expect("completion scripts are made of our own texts")
}

fn install(session: &mut Session<'_>) -> Result<()> {
    let (shell, path) = place(&session.environment, &session.program)?;
    let name = path.display().to_string();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder of {name}"))?;
    }
    std::fs::write(&path, script(&session.program, shell)).with_context(|| format!("cannot write {name}"))?;
    session.console.line(format_args!(
        "Completion for {shell} written to {name}; it works in the next session"
    ));
    if shell == Shell::Zsh {
        session
            .console
            .line("If it does not: add `fpath+=~/.zfunc` above `compinit` in ~/.zshrc");
    }
    Ok(())
}

fn uninstall(session: &mut Session<'_>) -> Result<()> {
    let (shell, path) = place(&session.environment, &session.program)?;
    let name = path.display().to_string();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("completion for {shell} is not installed: there is no {name}")
        }
        other => other.with_context(|| format!("cannot remove {name}"))?,
    }
    session.console.line(format_args!("Removed {name}"));
    Ok(())
}

/// The shell of this session, and where it looks for the completion of `program`.
fn place(environment: &Environment, program: &str) -> Result<(Shell, PathBuf)> {
    let named = environment.raw("SHELL").unwrap_or_default();
    let home = PathBuf::from(environment.raw("HOME").context("the variable HOME is not set")?);
    let folder = |variable: &str, otherwise: &str| {
        environment
            .raw(variable)
            .map_or_else(|| home.join(otherwise), PathBuf::from)
    };
    Ok(match named.rsplit('/').next() {
        Some("bash") => (
            Shell::Bash,
            folder("XDG_DATA_HOME", ".local/share")
                .join("bash-completion/completions")
                .join(program),
        ),
        Some("zsh") => (Shell::Zsh, home.join(".zfunc").join(format!("_{program}"))),
        Some("fish") => {
            let file = format!("{program}.fish");
            (
                Shell::Fish,
                folder("XDG_CONFIG_HOME", ".config")
                    .join("fish/completions")
                    .join(file),
            )
        }
        _ => bail!(
            "the shell {named:?} is not known (variable SHELL): use `{program} completion bash|zsh|fish`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_its_place() {
        for (shell, place_of_it) in [
            ("/bin/bash", "/h/.local/share/bash-completion/completions/edgectl"),
            ("/usr/bin/zsh", "/h/.zfunc/_edgectl"),
            ("fish", "/h/.config/fish/completions/edgectl.fish"),
        ] {
            let environment: Environment = [("SHELL", shell), ("HOME", "/h")].into_iter().collect();
            assert_eq!(
                place(&environment, "edgectl").unwrap().1,
                PathBuf::from(place_of_it)
            );
        }
        let unknown: Environment = [("SHELL", "/bin/tcsh"), ("HOME", "/h")].into_iter().collect();
        assert!(
            place(&unknown, "edgectl")
                .unwrap_err()
                .to_string()
                .contains("tcsh")
        );
    }

    #[test]
    fn every_shell_completes_our_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script("edgectl", shell);
            assert!(
                script.contains("validate") && script.contains("check-index"),
                "{shell}"
            );
        }
    }
}
