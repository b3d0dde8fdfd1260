//! Permissions of callers.

use std::collections::{BTreeMap, BTreeSet};

use skep_protocol::{
    Error, Grants, HttpGrant, LimitName, Limits, Rights, Role, RuntimeId, ScopeName, SecretName,
    WorkerSpec,
};

use crate::Caller;

/// A policy of permissions. The registry consults it before each verb.
pub trait Policy: Send + Sync {
    /// Returns true if the caller may know that the runtime exists. An invisible runtime looks
    /// unknown.
    fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool;

    /// Checks that the caller has the permissions of a role.
    ///
    /// # Errors
    /// The error to answer with.
    fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error>;

    /// Checks that the caller may create a worker with this spec, or decide what runs in one that
    /// has it.
    ///
    /// # Errors
    /// The error to answer with.
    fn allows_spec(&self, caller: &Caller, spec: &WorkerSpec) -> Result<(), Error>;

    /// Checks that the caller may replace a worker's grants.
    ///
    /// # Errors
    /// The error to answer with.
    fn allows_grants(&self, caller: &Caller, before: &Grants, after: &Grants) -> Result<(), Error>;
}

/// The most that operators may give workers. Admins may give anything that the runtime offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Scopes that may be granted.
    pub scopes: BTreeSet<ScopeName>,
    /// HTTP grants that operators' grants must be within.
    pub http: Vec<HttpGrant>,
    /// Secrets that may be granted.
    pub secrets: BTreeSet<SecretName>,
    /// Maximum values of limits; the default is the maximum for limits not listed.
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

/// The default policy: roles, the runtimes that a token is limited to, and the operators' ceilings.
#[derive(Clone, Debug, Default)]
pub struct RolePolicy {
    /// Ceilings for operators. Without any, operators may grant every scope and set every limit,
    /// which the runtime bounds itself; they may grant no HTTP and no secrets, which nothing else
    /// would bound.
    pub ceilings: Option<Ceilings>,
}

impl RolePolicy {
    /// Returns true if operators may replace `before` by `after`: everything added must be within
    /// the ceilings.
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
