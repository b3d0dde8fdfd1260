//! The words that every part of Skep shares: ids, kinds, limits, messages.
//!
//! This crate performs no IO, and no type of it can hold a host path, an endpoint or a token:
//! whatever is made of these types may be shown to a browser.

pub mod digest;
pub mod kind;
pub mod limits;
pub mod payload;
pub mod rights;
pub mod text;

pub use digest::{ComponentDigest, DigestError};
pub use kind::ComponentKind;
pub use limits::{LimitName, Limits};
pub use payload::{Failure, Payload};
pub use rights::Rights;
