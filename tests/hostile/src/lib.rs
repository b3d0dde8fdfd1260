//! Hostile guests, files and callers, each with the end that it must have.
//!
//! A [`Case`] names an attack and its expected end; the table is in [`cases`]. Each case runs in a
//! process of its own on a [`Bed`]: a durable runtime with a well-behaved neighbour that works
//! throughout. `trial` asserts what holds for every case.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod asker;
mod attack;
mod bed;
mod case;
pub mod cases;
#[cfg(test)]
mod complete;
mod end;
mod expected;
mod guest;
mod hook;
mod host;
mod look;
mod made;
pub mod mixed;
mod names;
mod neighbour;
mod operator;
mod own;
mod owner;
mod record;
mod seen;
mod step_bed;
pub mod suite;
mod trial;
mod turn;
mod vitals;

pub use attack::{Attack, Own, Sight};
pub use bed::Bed;
pub use case::Case;
pub use end::End;
pub use expected::Expected;
pub use guest::{message, run_request};
pub use hook::{Check, Look, Meanwhile};
pub use host::SKEP;
pub use names::Names;
pub use neighbour::{Neighbour, NeighbourReport};
pub use seen::Seen;
pub use vitals::Vitals;
