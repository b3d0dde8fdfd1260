//! Guests of authors in every language: built by `skep build` with the pinned tools, held to one
//! suite of behaviour, and a project's way from an empty folder to a reply.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is right")]

mod artefact;
mod conformance;
mod mistakes;
#[path = "../shared/opening.rs"]
mod opening;
mod project;
mod web;
mod worker;
