//! Guests, files and callers that mean harm, each held to what must come of it.
//!
//! A [`Case`] says what is run and how it has to end; the table is in [`cases`]. Each runs in a
//! process of its own on a [`Bed`]: a durable runtime with a neighbour that works all the while.
//! What is asserted of every case is in [`trial`].

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod asker;
mod bed;
mod case;
pub mod cases;
#[cfg(test)]
mod complete;
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
pub mod suite;
mod trial;
mod vitals;

pub use bed::{Bed, message, run_request};
pub use case::{Case, Found, Look, Meanwhile, Own, Sight, What};
pub use names::Names;
pub use neighbour::{Neighbour, Peace};
pub use seen::{End, Ends, Seen};
pub use vitals::Vitals;
