//! `cargo xtask CHORE`: the command line of the project's chores.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use xtask::{
    Error, bench, crash, demo, fuzz, guests, hostile, packages, picture, schema, ship, suite,
    vendor,
};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the examples and a program of somebody else in the sandbox, and say what to notice
    Demo,
    /// Check format and lints, then run every test there is
    Test,
    /// Measure what Skep costs, beside what the same work costs without it
    Bench {
        /// What to measure, and how to tell of it; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Kill a runtime under load, again and again, and prove that it kept its promises
    Crash {
        /// Rounds; every named point is passed in each 16
        #[arg(long, default_value_t = 20)]
        rounds: u64,
        /// What all that is random is made of [default: the time]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Let hostile guests loose on a runtime, and say what came of each
    Hostile {
        /// Parts of the names of cases; `-- --help` lists what else there is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Make bytes up for whatever reads a stranger's, and guests for the runtime
    Fuzz {
        /// One of the folders of tests/fuzz/seeds, or `guests` [default: all those folders]
        #[arg(long)]
        target: Option<String>,
        /// Seconds for each target
        #[arg(long, default_value_t = fuzz::SHORT.as_secs())]
        seconds: u64,
        /// What the bytes are made up from [default: another seed each time]
        #[arg(long)]
        seed: Option<u32>,
        /// With the address sanitizer
        #[arg(long)]
        asan: bool,
    },
    /// Hold a host's answers to made-up requests to the API's own description
    Schema {
        /// Requests made up for each operation
        #[arg(long, default_value_t = schema::EXAMPLES)]
        examples: u32,
    },
    /// Build the program as it is handed to others, and what debuggers want in a file beside it
    Ship,
    /// Build the guests whose sources changed into target/guests
    Guests,
    /// Fetch the programs of other people that tests run into target/packages
    Packages,
    /// Draw the README's picture from a real session
    #[command(hide = true)]
    Picture,
    /// Copy the guest SDK into the example that carries one
    Vendor,
}

fn main() -> ExitCode {
    match run(Command::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            error.show();
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode, Error> {
    match chore {
        Chore::Demo => demo::demo()?,
        // It has said what failed; its last line is the last.
        Chore::Test if !suite::test() => return Ok(ExitCode::FAILURE),
        Chore::Test => {}
        Chore::Crash { rounds, seed } => crash::crash(rounds, seed)?,
        Chore::Hostile { arguments } => hostile::hostile(&arguments)?,
        Chore::Fuzz { target, seconds, seed, asan } => {
            let time = Duration::from_secs(seconds);
            fuzz::fuzz(&fuzz::Campaign { target, time, seed, asan })?;
        }
        Chore::Schema { examples } => schema::schema(examples)?,
        Chore::Bench { arguments } => bench::bench(&arguments)?,
        Chore::Ship => {
            let ship::Shipped { program, debug } = ship::ship()?;
            eprintln!("{} and {}", program.display(), debug.display());
        }
        Chore::Guests => {
            let built = guests::ensure()?;
            let all = guests::ARTIFACTS.len();
            eprintln!("{} of {all} guests built, the rest are current: target/guests", built.len());
        }
        Chore::Packages => {
            for &package in packages::ALL {
                eprintln!("{}: {}", package.spec(), packages::ensure(package)?.display());
            }
        }
        Chore::Picture => picture::update()?,
        Chore::Vendor => {
            let changed = vendor::update()?;
            eprintln!("{changed} files changed in {}", vendor::COPY);
        }
    }
    Ok(ExitCode::SUCCESS)
}
