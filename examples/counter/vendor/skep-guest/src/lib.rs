//! Write a Skep worker: implement [`Worker`], pass it to [`worker!`], build for `wasm32-wasip2`.
//!
//! A worker gets one [`Input`] at a time and answers with an [`Output`] or a [`Failure`]. It keeps
//! [`state`], emits events to its [`transcript`], reads [`context`] and [`config`], sends HTTP
//! requests with [`fetch`], and has a directory of its own, [`data_dir`], for `std::fs`.
//!
//! A turn's writes to [`state`] are committed with its outcome or not at all. Files are different:
//! those written to [`data_dir`] stay, and are visible again if the host died in the turn and runs
//! it once more ([`context::attempt`] is then above 1).
//!
//! ```
//! use skep_guest::{Failure, Input, Output, Worker, config, context, state, transcript};
//!
//! /// Adds up the numbers that it is sent.
//! struct Adder;
//!
//! impl Worker for Adder {
//!     fn handle(input: Input) -> Result<Output, Failure> {
//!         let text = input.text()?;
//!         let number: u64 = text
//!             .trim()
//!             .parse()
//!             .map_err(|_| Failure::new("bad-request", format!("{text:?} is not a number")))?;
//!
//!         let limit = config::get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1_000);
//!         let sum = state::get_string("sum")?.map_or(0, |sum| sum.parse().unwrap_or(0)) + number;
//!         state::set("sum", sum.to_string())?;
//!         if sum > limit {
//!             return Err(Failure::new("too-much", format!("{sum} is more than {limit}")));
//!         }
//!
//!         transcript::emit_text("added", &format!("{number} in {}", context::worker_id()))?;
//!         Ok(Output::text(sum.to_string()))
//!     }
//! }
//!
//! skep_guest::worker!(Adder);
//!
//! // A unit test would do the rest.
//! # #[cfg(not(target_family = "wasm"))] {
//! use skep_guest::testing;
//!
//! testing::set_config([("limit", "10")]);
//! assert_eq!(testing::handle::<Adder>(Input::text_plain("4")), Ok(Output::text("4")));
//! assert_eq!(testing::handle::<Adder>(Input::text_plain("5")), Ok(Output::text("9")));
//!
//! let refused = testing::handle::<Adder>(Input::text_plain("2")).unwrap_err();
//! assert_eq!(refused.code, "too-much");
//! assert_eq!(testing::state()["sum"], b"9", "a failed turn leaves the state as it was");
//! assert_eq!(testing::events().len(), 2);
//! # }
//! ```
//!
//! A service that needs to know about its instance's life implements [`Lifecycle`] and is exported
//! with `skep_guest::worker!(Adder, lifecycle);`.
//!
//! An HTTP worker is one function with the attribute `#[skep_guest::web]` instead: see the module
//! [`web`](mod@web).

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[cfg_attr(target_family = "wasm", path = "host/component.rs")]
#[cfg_attr(not(target_family = "wasm"), path = "host/double.rs")]
mod host;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub mod config;
pub mod context;
pub mod fetch;
pub mod state;
pub mod transcript;
pub mod web;

mod data_dir;
mod exit;
mod failure;
mod message;
mod worker;

pub use data_dir::data_dir;
pub use exit::exit;
pub use failure::Failure;
pub use message::{Input, Output};
/// Exports a function as the HTTP worker of this component: see the module [`web`](mod@web).
pub use skep_guest_macros::web;
pub use worker::{ConnectReason, Lifecycle, Worker};
