//! The program's door: everything behind it is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    sockactors::cli::main()
}
