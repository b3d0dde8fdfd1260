//! The project's development tasks, one file per noun. The binary gives them a command line; the
//! test harness calls [`guests::ensure`] itself.

pub mod authors;
pub mod bench;
pub mod browser;
pub mod componentize;
pub mod console;
pub mod counts;
pub mod crash;
pub mod crates;
pub mod demo;
pub mod fuzz;
pub mod guests;
pub mod hostile;
pub mod install;
pub mod nats;
pub mod packages;
pub mod picture;
pub mod schema;
pub mod session;
pub mod ship;
pub mod suite;
pub mod tree;
pub mod vendor;
pub mod worlds;

mod debian;
mod error;
mod fingerprint;
pub mod python;
mod steps;
mod toolchain;

pub use error::Error;
