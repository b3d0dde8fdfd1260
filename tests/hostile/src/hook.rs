//! The hooks of a case: actions and checks around the turn of its worker.

use std::future::Future;
use std::pin::Pin;

use skep_protocol::{Outcome, WorkerId};

use crate::bed::Bed;

/// The future of a check; its error describes the mismatch.
pub type Check<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// An action of another party during the worker's turn.
pub type Meanwhile = for<'a> fn(&'a Bed, WorkerId) -> Check<'a>;

/// A check between a worker's turn and its removal.
pub type Look = for<'a> fn(&'a Bed, WorkerId, &'a Outcome) -> Check<'a>;
