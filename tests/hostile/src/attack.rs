//! The kinds of attack.

use std::future::Future;
use std::pin::Pin;

use crate::bed::Bed;
use crate::seen::Seen;

/// The future of an [`Own`] case.
pub type Sight<'a> = Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// A case that takes more than one turn of one guest.
pub type Own = for<'a> fn(&'a Bed) -> Sight<'a>;

/// The kinds of attack, by where their code or bytes come from.
#[derive(Clone, Copy)]
pub enum Attack {
    /// The command built from `tests/guests/hostile/src/bin/NAME.rs`.
    Command,
    /// The file `tests/guests/hostile/wat/NAME.wat`: a command, a service or neither.
    Text,
    /// The service in `tests/guests/hostile/service`, with the case's name as its input.
    Service,
    /// A command whose bytes `made/NAME.rs` generates.
    Made(fn() -> Vec<u8>),
    /// The function in `own/NAME.rs`.
    Own(Own),
}
