//! Who may do what, and see what.

use std::collections::{BTreeMap, BTreeSet};

use skep_protocol::{Error, LimitName, Limits, Role, RuntimeId, ScopeName, WorkerSpec};

use crate::Caller;

/// Whether a caller may do something. The registry asks before each verb.
pub trait Policy: Send + Sync {
    /// Whether the caller may know that the runtime exists. One that is not seen is unknown.
    fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool;

    /// Whether the caller may do things of that kind.
    ///
    /// # Errors
    /// The answer that the caller gets instead.
    fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error>;

    /// Whether the caller may have a worker made so, or decide what runs in one that is.
    ///
    /// # Errors
    /// The answer that the caller gets instead.
    fn allows_spec(&self, caller: &Caller, spec: &WorkerSpec) -> Result<(), Error>;
}

/// What operators may give workers. Admins may give them anything that the runtime has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Directories that may be granted.
    pub scopes: BTreeSet<ScopeName>,
    /// The most that a limit may be set to; for others it is the table's default.
    pub limits: BTreeMap<LimitName, u64>,
}

impl Ceilings {
    fn allow(&self, spec: &WorkerSpec) -> bool {
        let defaults = Limits::default();
        let scopes = spec.grants.scopes.iter().all(|grant| self.scopes.contains(&grant.name));
        let under = |(name, value): (&LimitName, &u64)| {
            *value <= self.limits.get(name).copied().unwrap_or_else(|| defaults.get(*name))
        };
        scopes && spec.limits.0.iter().all(under)
    }
}

/// The registry's own policy: roles, the runtimes that a token is limited to, and the operators'
/// ceilings.
#[derive(Clone, Debug, Default)]
pub struct RolePolicy {
    /// What operators may give workers, if that is bounded.
    pub ceilings: Option<Ceilings>,
}

impl Policy for RolePolicy {
    fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool {
        caller.runtimes.as_ref().is_none_or(|runtimes| runtimes.contains(runtime))
    }

    fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error> {
        if caller.role >= needs { Ok(()) } else { Err(Error::Forbidden) }
    }

    fn allows_spec(&self, caller: &Caller, spec: &WorkerSpec) -> Result<(), Error> {
        let bounded = self.ceilings.as_ref().filter(|_| caller.role < Role::Admin);
        let allowed = bounded.is_none_or(|ceilings| ceilings.allow(spec));
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }
}
