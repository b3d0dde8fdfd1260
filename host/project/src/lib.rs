//! A guest author's project: the folder with `skep-worker.toml`.
//!
//! [`Manifest`] is that file; [`scaffold`] makes a new folder from an embedded example; [`Builder`]
//! finds or installs the language's tools and makes the component; [`TurnFile`] is a test.
//! The crate runs the author's own tools as the author. It never loads what they built: that is the
//! sandbox's part.

mod builder;
mod bundler;
mod component;
mod embedded;
mod error;
mod language;
mod manifest;
mod program;
mod project;
mod scaffold;
mod sdk;
mod toolchain;
mod turns;

pub use builder::{Builder, Built};
pub use error::ProjectError;
pub use language::{Kind, Language};
pub use manifest::{MANIFEST, Manifest, schema};
pub use project::Project;
pub use scaffold::scaffold;
pub use toolchain::ToolsPlace;
pub use turns::{Actual, Expect, ExpectedEvent, Mismatch, TestTurn, TurnFile, test_schema};
