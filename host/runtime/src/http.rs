//! HTTP workers: requests beside the driver, each in a lane of its own.
//!
//! A request is no turn. It has no input, no place in the mailbox and no entry of its own, and
//! requests run side by side. Its guest has the worker's directory, config and grants. Its log lines
//! and denials go to the transcript, its cost to the worker's usage.

mod access;
mod hold;
mod lanes;
mod request;
mod source;

pub(crate) use lanes::lanes_of;
