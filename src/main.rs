//! The entry point of the program. All its code is in the library, where tests can reach it.

fn main() -> std::process::ExitCode {
    sockactors::cli::main()
}
