//! Which runtimes there are, who may do what there, and who did.
//!
//! A [`Registry`] has its runtimes from three sources: the one in this process (`embedded`), others
//! that the operator named (`remote`), and the foreground runs on this machine, to look at only
//! (`local`). It finds the one that is meant, lists over all of them, lets callers do what their
//! role allows and writes down who changed what.
//!
//! What it keeps is in `registry.db` in the root of a store: digests of tokens, the audit, the
//! remotes. Nothing of any worker is there. The file is not under the store's lock: `skep token` and
//! `skep remote` use it through [`Registrar`] while a host runs.
//!
//! A registry is of one workspace, and the store's root is what makes it one: no verb takes a
//! workspace, so none can name another.

mod access;
mod audit;
mod caller;
mod changes;
mod connect;
mod cursor;
mod database;
mod error;
mod fleet;
mod guarded;
mod list;
mod local;
mod policy;
mod registrar;
mod registry;
mod remotes;
mod secret;
mod watcher;

pub use access::{Access, NewToken};
pub use audit::{Audit, AuditRecord};
pub use caller::Caller;
pub use changes::FleetStream;
pub use connect::{Connect, ConnectError, EntryError, Network};
pub use error::RegistryError;
pub use local::{LocalRun, RunRecord};
pub use policy::{Ceilings, Policy, RolePolicy};
pub use registrar::Registrar;
pub use registry::{Embedded, Registry, RegistryParts};
pub use remotes::{RemoteSpec, Remotes};
pub use secret::Secret;
