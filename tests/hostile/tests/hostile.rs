//! Runs `skep_hostile::suite`.

fn main() -> std::process::ExitCode {
    skep_hostile::suite::main()
}
