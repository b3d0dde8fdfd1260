//! `cargo xtask TASK`: the command line of the development tasks.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use xtask::{
    Error, bench, console, counts, crash, demo, fuzz, guests, hostile, install, packages, picture,
    schema, ship, suite, vendor, worlds,
};

/// The project's development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the examples and a third-party program in the sandbox, with notes
    Demo,
    /// Run the format check, the lints, the unit tests and the house rules
    #[command(after_help = suite::check_help())]
    Check,
    /// Run every check and test, or only the named steps
    #[command(after_help = suite::test_help())]
    Test {
        /// Names of steps [default: all]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Measure the cost of Skep against the same work without it
    Bench {
        /// Figures to measure, and output options; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Count the instructions of core paths, and compare them with those of tests/bench/counts.toml
    Counts {
        /// Write that file
        #[arg(long)]
        renew: bool,
    },
    /// Kill a runtime under load repeatedly, and check that no acknowledged work is lost
    Crash {
        /// Number of rounds; 16 in a row pass every named point
        #[arg(long, default_value_t = 20)]
        rounds: u64,
        /// Seed of the random choices [default: the time]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run hostile guests on a runtime, and print each outcome
    Hostile {
        /// Part of the names of cases; `-- --help` lists further options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Fuzz the parsers of untrusted bytes, or the runtime with generated guests
    Fuzz {
        /// A folder of tests/fuzz/seeds, or `guests` [default: all those folders]
        #[arg(long)]
        target: Option<String>,
        /// Seconds per target
        #[arg(long, default_value_t = fuzz::SHORT.as_secs())]
        seconds: u64,
        /// Seed of the generator [default: a new one each time]
        #[arg(long)]
        seed: Option<u32>,
        /// Use the address sanitizer
        #[arg(long)]
        asan: bool,
    },
    /// Check a host's answers to generated requests against the API's description
    Schema {
        /// Number of requests per operation
        #[arg(long, default_value_t = schema::EXAMPLES)]
        examples: u32,
    },
    /// Check and build the console into host/console/dist, which the next build of skep embeds
    Console,
    /// Install an optimised skep with its console into the folder of cargo's programs
    Install,
    /// Build the stripped program for distribution, with its debug info in a second file
    Ship,
    /// Build the guests whose sources changed into target/guests
    Guests,
    /// Fetch the third-party programs of the tests into target/packages
    Packages,
    /// Draw the README's picture from a real session
    #[command(hide = true)]
    Picture,
    /// Copy the guest SDK into the example that carries one
    Vendor,
    /// Write wit/README.md, the page of the WIT worlds
    Worlds,
}

fn main() -> ExitCode {
    match run(Command::parse().task) {
        Ok(code) => code,
        Err(error) => {
            error.show();
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode, Error> {
    match task {
        Task::Demo => demo::demo()?,
        // A suite has printed its failures; nothing may follow its last line.
        Task::Check if !suite::check() => return Ok(ExitCode::FAILURE),
        Task::Check => {}
        Task::Test { names } if !suite::test(&names)? => return Ok(ExitCode::FAILURE),
        Task::Test { .. } => {}
        Task::Counts { renew } => counts::counts(renew)?,
        Task::Crash { rounds, seed } => crash::crash(rounds, seed)?,
        Task::Hostile { arguments } => hostile::hostile(&arguments)?,
        Task::Fuzz { target, seconds, seed, asan } => {
            let time = Duration::from_secs(seconds);
            fuzz::fuzz(&fuzz::Campaign { target, time, seed, asan })?;
        }
        Task::Schema { examples } => schema::schema(examples)?,
        Task::Bench { arguments } => bench::bench(&arguments)?,
        Task::Console => match console::ensure()? {
            console::Console::Built => {}
            console::Console::Current => eprintln!("the console is current"),
        },
        Task::Install => install::install()?,
        Task::Ship => {
            let ship::Shipped { program, debug } = ship::ship()?;
            eprintln!("{} and {}", program.display(), debug.display());
        }
        Task::Guests => {
            let built = guests::ensure()?;
            let all = guests::ARTIFACTS.len();
            eprintln!("{} of {all} guests built, the rest are current: target/guests", built.len());
        }
        Task::Packages => {
            for &package in packages::ALL {
                eprintln!("{}: {}", package.spec(), packages::ensure(package)?.display());
            }
        }
        Task::Picture => picture::update()?,
        Task::Vendor => {
            let changed = vendor::update()?;
            eprintln!("{changed} files changed in {}", vendor::COPIES.join(" and "));
        }
        Task::Worlds => match worlds::update()? {
            true => eprintln!("{} is new", worlds::PAGE),
            false => eprintln!("{} is current", worlds::PAGE),
        },
    }
    Ok(ExitCode::SUCCESS)
}
