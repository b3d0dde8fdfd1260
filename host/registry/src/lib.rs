//! The registry: runtimes, permissions and the audit of changes.
//!
//! A [`Registry`] has runtimes from four sources: the one in this process (`embedded`), those that
//! the operator configured (`remote`), those that make themselves known (`fleet`), and the foreground
//! runs on this machine, read-only (`local`). It routes requests to them, lists over all of them, enforces roles and audits
//! changes.
//!
//! Its data is in `registry.db` in the root of a store: digests of tokens and sessions, the audit, the
//! remotes, and routes to HTTP workers. The hosts of a fleet share the first three: each has a copy of
//! them in a file of its own, which follows their log.
//! It stores nothing about workers. The store's lock does not cover this file: `skep token` and
//! `skep remote` use it through [`Registrar`] while a host runs.
//!
//! A registry serves one workspace, given by the root of its store. No verb takes a workspace, so
//! none can name another.

mod access;
mod access_control;
mod audit;
mod bulk;
mod caller;
mod changes;
mod conflate;
mod connect;
mod cursor;
mod database;
mod discovery;
mod embedded_runtime;
mod error;
mod fleet;
mod guarded_handle;
mod list;
mod local;
mod policy;
mod registrar;
mod registry;
mod remotes;
mod replica;
mod route_control;
mod secret;
mod shared_log;
mod sites;
mod watch;
mod watcher;
mod worker_list;

pub use access::Access;
pub use audit::{Audit, AuditRecord};
pub use bulk::{BULK, BulkStream, BulkWorkers};
pub use caller::Caller;
pub use connect::{Connect, ConnectError, EntryError, Network};
pub use discovery::{DiscoveredRuntime, Discovery, UnusableRuntime};
pub use embedded_runtime::EmbeddedRuntime;
pub use error::RegistryError;
pub use local::{LocalRun, RunRecord};
pub use policy::{Ceilings, Policy, RolePolicy};
pub use registrar::Registrar;
pub use registry::{Registry, RegistryParts, SharedAccess, follows_fleet};
pub use remotes::{RemoteSpec, Remotes};
pub use secret::Secret;
pub use shared_log::{ENTRY_BYTES, LogItem, LogItems, SharedLog};
pub use sites::{SiteRoute, SiteSpec};
