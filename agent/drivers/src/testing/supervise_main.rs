//! The supervisor as a program, for tests that have no agent binary.

fn main() -> std::process::ExitCode {
    holdfast_drivers::supervise::main()
}
