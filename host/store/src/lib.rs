//! The persistent data of a runtime: records in SQLite, and directories behind handles.
//!
//! All access goes through directory handles that were opened elsewhere. This crate cannot turn a
//! host path into access, because it never calls `ambient_authority()`.
//!
//! [`Store`] holds the records. One thread writes: it commits all queued transactions together
//! (group commit) and then acknowledges them. Reads use connections of their own.

mod checksum;
pub mod commit;
mod component_file;
mod database;
pub mod error;
pub mod fault;
pub mod feed;
mod fork_dirs;
pub mod health;
mod janitor;
mod layout;
mod noticed;
mod outcome;
mod read;
mod reader;
pub mod record;
mod row;
mod schema;
pub mod store;
mod writer;

pub use commit::Commit;
pub use error::{OpenError, StoreError, StoreRefusal};
pub use fault::{Faults, NoFaults};
pub use feed::{Feed, FeedUpdate};
pub use fork_dirs::ForkDirs;
pub use record::{
    ComponentRecord, ConfigRecord, InputPage, InputRecord, Lookup, NewEntry, Receipt, RecentInput,
    SharedWrite, Standing, Transaction, WorkerNumber, WorkerOutline, WorkerRecord, WorkerWrite,
};
pub use store::{Store, StoreParts};
