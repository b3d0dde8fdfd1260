//! Permissions of callers.

use std::collections::{BTreeMap, BTreeSet};

use skep_protocol::{
    Error, Grantable, GrantableScope, Grants, HttpGrant, LimitChanges, LimitName, Limits, Need,
    Rights, Role, RuntimeId, ScopeName, SecretName, WorkerSpec,
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

    /// Checks that the caller may replace a worker's limits.
    ///
    /// # Errors
    /// The error to answer with.
    fn allows_limits(
        &self,
        caller: &Caller,
        before: &LimitChanges,
        after: &LimitChanges,
    ) -> Result<(), Error>;

    /// Returns the largest value of a limit that the caller may set, if there is a ceiling.
    fn ceiling(&self, caller: &Caller, limit: LimitName) -> Option<u64>;

    /// Returns the grants that the caller may give.
    fn grantable(&self, caller: &Caller) -> Grantable;
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
    fn limit(&self, name: LimitName) -> u64 {
        self.limits.get(&name).copied().unwrap_or_else(|| Limits::default().get(name))
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
    /// Checks that operators may replace `before` by `after`: everything added must be within the
    /// ceilings.
    fn check_grants(&self, before: &Grants, after: &Grants) -> Result<(), Need> {
        let ceilings = self.ceilings.as_ref();
        for grant in &after.scopes {
            let within = |has: &Rights| *has == Rights::ReadWrite || grant.rights == *has;
            let mut had = before.scopes.iter().filter(|had| had.name == grant.name);
            let allowed = had.any(|had| within(&had.rights))
                || ceilings.is_none_or(|ceilings| ceilings.scopes.contains(&grant.name));
            if !allowed {
                return Err(Need::Scope(grant.name.clone()));
            }
        }
        for grant in &after.http {
            let offered = ceilings.into_iter().flat_map(|ceilings| &ceilings.http);
            if !before.http.iter().chain(offered).any(|wider| grant.is_within(wider)) {
                return Err(Need::Http(Box::new(grant.clone())));
            }
        }
        for name in &after.secrets {
            let allowed = before.secrets.contains(name)
                || ceilings.is_some_and(|ceilings| ceilings.secrets.contains(name));
            if !allowed {
                return Err(Need::Secret(name.clone()));
            }
        }
        Ok(())
    }

    /// Checks that operators may replace `before` by `after`: every other limit must be within its
    /// ceiling.
    fn check_limits(&self, before: &LimitChanges, after: &LimitChanges) -> Result<(), Need> {
        let Some(ceilings) = &self.ceilings else { return Ok(()) };
        for (&limit, value) in &after.0 {
            let max = ceilings.limit(limit);
            if before.0.get(&limit) != Some(value) && *value > max {
                return Err(Need::Ceiling { limit, max });
            }
        }
        Ok(())
    }
}

/// Returns the result for operators, unless the caller is an admin.
fn for_operators(caller: &Caller, checked: Result<(), Need>) -> Result<(), Error> {
    if caller.role >= Role::Admin { Ok(()) } else { checked.map_err(Error::Forbidden) }
}

impl Policy for RolePolicy {
    fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool {
        caller.runtimes.as_ref().is_none_or(|runtimes| runtimes.contains(runtime))
    }

    fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error> {
        if caller.role >= needs { Ok(()) } else { Err(Error::Forbidden(Need::Role(needs))) }
    }

    fn allows_spec(&self, caller: &Caller, spec: &WorkerSpec) -> Result<(), Error> {
        let grants = self.check_grants(&Grants::default(), &spec.grants);
        let limits = || self.check_limits(&LimitChanges::default(), &spec.limits);
        for_operators(caller, grants.and_then(|()| limits()))
    }

    fn allows_grants(&self, caller: &Caller, before: &Grants, after: &Grants) -> Result<(), Error> {
        for_operators(caller, self.check_grants(before, after))
    }

    fn allows_limits(
        &self,
        caller: &Caller,
        before: &LimitChanges,
        after: &LimitChanges,
    ) -> Result<(), Error> {
        for_operators(caller, self.check_limits(before, after))
    }

    fn ceiling(&self, caller: &Caller, limit: LimitName) -> Option<u64> {
        let ceilings = self.ceilings.as_ref().filter(|_| caller.role < Role::Admin);
        ceilings.map(|ceilings| ceilings.limit(limit))
    }

    fn grantable(&self, caller: &Caller) -> Grantable {
        let role = caller.role;
        match (role, &self.ceilings) {
            (Role::Admin, _) => Grantable { role, scopes: None, http: None, secrets: None },
            (Role::Operator, None) => {
                Grantable { role, scopes: None, http: Some(Vec::new()), secrets: Some(Vec::new()) }
            }
            (Role::Operator, Some(ceilings)) => {
                let scope = |name: &ScopeName| GrantableScope {
                    name: name.clone(),
                    rights: Rights::ReadWrite,
                };
                Grantable {
                    role,
                    scopes: Some(ceilings.scopes.iter().map(scope).collect()),
                    http: Some(ceilings.http.clone()),
                    secrets: Some(ceilings.secrets.iter().cloned().collect()),
                }
            }
            (Role::Viewer, _) => Grantable {
                role,
                scopes: Some(Vec::new()),
                http: Some(Vec::new()),
                secrets: Some(Vec::new()),
            },
        }
    }
}
