//! `cargo xtask crash`: kills a runtime under load, again and again, and proves after each death that
//! nothing it had promised was lost, doubled or made up.
//!
//! ```text
//! skep-crash run                                     skep-crash child
//!   campaign.rs  rounds on one growing store           child.rs   opens the store, starts clients
//!   victim.rs    starts a child, kills it   --plan-->  client.rs  drives some workers
//!   ledger.rs    what was asked, answered  <--lines--  actor.rs   tells before and after each request
//!   checker.rs   reopens, asks, reads                  doom.rs    dies at a named point
//!     story.rs     a transcript against itself
//!     promise.rs   a transcript against the ledger
//!     audit.rs     the files and the database themselves
//! ```
//!
//! What a child does is chosen by the seed; how its threads interleave is not.

#![expect(clippy::unwrap_used, reason = "this is a test: it fails by panicking")]

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

/// Kills a runtime under load and proves that it kept its promises.
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
        /// Rounds
        #[arg(long, default_value_t = 20)]
        rounds: u64,
        /// What all that is random is made of [default: the time]
        #[arg(long)]
        seed: Option<u64>,
        /// Where stores and logs go; what a clean run leaves is removed
        #[arg(long)]
        folder: PathBuf,
        #[command(flatten)]
        tools: Tools,
    },
    /// Drives a load on a store until it is killed. Reads its plan from stdin
    Child {
        /// The store's directory
        #[arg(long)]
        store: PathBuf,
        #[command(flatten)]
        tools: Tools,
    },
}

/// What is shared with the other tests.
#[derive(Args, Clone)]
struct Tools {
    /// The folder of built guests
    #[arg(long)]
    guests: PathBuf,
    /// Where compiled components are kept
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
