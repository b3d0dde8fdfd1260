//! Who may do what, and see what.

use std::collections::{BTreeMap, BTreeSet};

use skep_protocol::{
    Error, Grants, HttpGrant, LimitName, Limits, Rights, Role, RuntimeId, ScopeName, SecretName,
    WorkerSpec,
};

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

    /// Whether the caller may have a worker's grants changed so.
    ///
    /// # Errors
    /// The answer that the caller gets instead.
    fn allows_grants(&self, caller: &Caller, before: &Grants, after: &Grants) -> Result<(), Error>;
}

/// What operators may give workers. Admins may give them anything that the runtime has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Directories that may be granted.
    pub scopes: BTreeSet<ScopeName>,
    /// Where workers may be let send requests: there, or to less.
    pub http: Vec<HttpGrant>,
    /// Secrets that may be granted.
    pub secrets: BTreeSet<SecretName>,
    /// The most that a limit may be set to; for others it is the table's default.
    pub limits: BTreeMap<LimitName, u64>,
}

impl Ceilings {
    fn allow_limits(&self, spec: &WorkerSpec) -> bool {
        let defaults = Limits::default();
        let under = |(name, value): (&LimitName, &u64)| {
            *value <= self.limits.get(name).copied().unwrap_or_else(|| defaults.get(*name))
        };
        spec.limits.0.iter().all(under)
    }
}

/// The registry's own policy: roles, the runtimes that a token is limited to, and the operators'
/// ceilings.
#[derive(Clone, Debug, Default)]
pub struct RolePolicy {
    /// What operators may give workers. Without it they may give each scope and set each limit,
    /// which the runtime bounds; but nothing bounds HTTP, so they may grant none, nor a secret.
    pub ceilings: Option<Ceilings>,
}

impl RolePolicy {
    /// Whether operators may turn these grants into those: nothing may be more than it was, but for
    /// what the ceilings allow.
    fn allow_grants(&self, before: &Grants, after: &Grants) -> bool {
        let ceilings = self.ceilings.as_ref();
        let scopes = after.scopes.iter().all(|grant| {
            let within = |has: &Rights| *has == Rights::ReadWrite || grant.rights == *has;
            let mut had = before.scopes.iter().filter(|had| had.name == grant.name);
            had.any(|had| within(&had.rights))
                || ceilings.is_none_or(|ceilings| ceilings.scopes.contains(&grant.name))
        });
        let http = after.http.iter().all(|grant| {
            let offered = ceilings.into_iter().flat_map(|ceilings| &ceilings.http);
            before.http.iter().chain(offered).any(|wider| grant.is_within(wider))
        });
        let secrets = after.secrets.iter().all(|name| {
            before.secrets.contains(name)
                || ceilings.is_some_and(|ceilings| ceilings.secrets.contains(name))
        });
        scopes && http && secrets
    }
}

impl Policy for RolePolicy {
    fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool {
        caller.runtimes.as_ref().is_none_or(|runtimes| runtimes.contains(runtime))
    }

    fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error> {
        if caller.role >= needs { Ok(()) } else { Err(Error::Forbidden) }
    }

    fn allows_spec(&self, caller: &Caller, spec: &WorkerSpec) -> Result<(), Error> {
        let limits = || {
            let ceilings = self.ceilings.as_ref();
            ceilings.is_none_or(|ceilings| ceilings.allow_limits(spec))
        };
        let allowed = caller.role >= Role::Admin
            || (self.allow_grants(&Grants::default(), &spec.grants) && limits());
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }

    fn allows_grants(&self, caller: &Caller, before: &Grants, after: &Grants) -> Result<(), Error> {
        let allowed = caller.role >= Role::Admin || self.allow_grants(before, after);
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }
}
