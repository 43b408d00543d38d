//! The operator's command line.

use std::io::{IsTerminal as _, stderr, stdout};
use std::process::ExitCode;

use edgectl::Call;
use edgectl::environment::Environment;
use edgectl::output::{Console, Style, time};

fn main() -> ExitCode {
    let argv = std::env::args_os()
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    let call = Call {
        argv,
        environment: Environment::of_process(),
        now: time::now(),
    };
    let (mut out, mut err) = (stdout(), stderr());
    let style = Style {
        terminal: out.is_terminal(),
        color: false,
    };
    ExitCode::from(edgectl::run(call, Console::new(&mut out, &mut err, style)))
}
