//! `cargo xtask crash`: kills a runtime under load repeatedly, and checks after each death that no
//! acknowledged work was lost, duplicated or invented.
//!
//! ```text
//! skep-crash run                                     skep-crash child
//!   campaign.rs  rounds on one growing store           child.rs   opens the store, starts clients
//!   victim.rs    starts a child, kills it   --plan-->  client.rs  drives some workers
//!   ledger.rs    requests and answers     <--lines--  actor.rs   reports before and after each request
//!   checker.rs   reopens, queries, reads               doom.rs    dies at a named point
//!     story.rs     a transcript's own consistency
//!     promise.rs   a transcript against the ledger
//!     audit.rs     the files and the database
//! ```
//!
//! The seed determines what a child does, but not how its threads interleave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actor;
mod audit;
mod campaign;
mod chance;
mod checker;
mod child;
mod client;
mod doom;
mod findings;
mod ledger;
mod life;
mod line;
mod order;
mod place;
mod plan;
mod promise;
mod settle;
mod story;
mod victim;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Kills a runtime under load and checks that every acknowledged request holds.
#[derive(Parser)]
#[command(name = "skep-crash")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Runs rounds: each kills one child or several, then checks the store
    Run {
        /// Number of rounds
        #[arg(long, default_value_t = 20)]
        rounds: u64,
        /// Seed of the random choices [default: the time]
        #[arg(long)]
        seed: Option<u64>,
        /// Folder for stores and logs; a clean run removes its own
        #[arg(long)]
        folder: PathBuf,
        #[command(flatten)]
        tools: Tools,
    },
    /// Drives a load on a store until it is killed. Reads its plan from stdin
    Child {
        /// Directory of the store
        #[arg(long)]
        store: PathBuf,
        #[command(flatten)]
        tools: Tools,
    },
}

/// Options that both commands need.
#[derive(Args, Clone)]
struct Tools {
    /// Folder of built guests
    #[arg(long)]
    guests: PathBuf,
    /// Folder of compiled components
    #[arg(long)]
    cache: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().part {
        Part::Child { store, tools } => child::child(&store, &tools),
        Part::Run { rounds, seed, folder, tools } => {
            let seed = seed.unwrap_or_else(|| place::now().as_millis() % 1_000_000);
            match campaign::run(rounds, seed, &folder, &tools) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
    }
}
