//! Routes to HTTP workers, restricted to what each caller may see and change.
//!
//! A site is one origin to its clients, whichever runtimes answer on it. An admin whose token is
//! limited to runtimes could take over the paths of others on it, so it adds and removes none.

use std::sync::Arc;

use skep_protocol::{
    Action, AuditedRoute, AuditedState, ComponentKind, Error, Invalid, Need, NewRoute, Role,
    RoutePrefix, RouteView, RuntimeId, SiteName, Stored, WorkerId, audit_word,
};
use tracing::Instrument;

use crate::sites::SiteRoute;
use crate::{AuditRecord, Caller, Registry};

/// A change of the routes, as the audit tells it.
struct RouteChange {
    action: Action,
    runtime_id: Option<RuntimeId>,
    worker_id: Option<WorkerId>,
    route: AuditedRoute,
}

impl Registry {
    /// Returns the routes of a site that are used now: those of the settings, and stored ones that
    /// the settings do not overrule.
    pub fn site_routes(&self, site: &SiteName) -> Arc<[SiteRoute]> {
        self.sites().used(site)
    }

    /// Lists the routes to workers of runtimes that the caller sees, for admins: those of the
    /// settings, then the stored ones, by site and prefix.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; any error of `registry.db`.
    pub fn routes(&self, caller: &Caller) -> Result<Vec<RouteView>, Error> {
        self.allows(caller, Role::Admin)?;
        let mut all = self.sites().all()?;
        all.retain(|route| self.sees(caller, &route.runtime_id));
        Ok(all)
    }

    /// Adds a route, for admins. Requests follow it from now on. The same route again changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`], also with a token that is limited to runtimes, and for a public route
    /// where the settings allow none; [`Error::UnknownSite`]; [`skep_protocol::Conflict::Route`] if
    /// the site has another with that host and path; [`Invalid`]; an error of the worker's runtime,
    /// or of `registry.db`.
    pub async fn add_route(
        &self,
        caller: &Caller,
        new: NewRoute,
    ) -> Result<Stored<RouteView>, Error> {
        let (registry, caller) = (self.clone(), caller.clone());
        finished(async move {
            let mut change = RouteChange {
                action: Action::RouteAdd,
                runtime_id: new.runtime_id.clone().or_else(|| registry.own_id()),
                worker_id: Some(new.worker_id),
                route: AuditedRoute {
                    site: new.site.clone(),
                    prefix: new.prefix.clone(),
                    auth: Some(new.auth),
                },
            };
            let added = registry.try_add(&caller, new).await;
            if let Ok(added) = &added {
                change.route.site = Some(added.item.site.clone());
            }
            registry.audited(&caller, change, added).await
        })
        .await
    }

    /// Removes a stored route, for admins. Without a site, that of the host's only one.
    ///
    /// # Errors
    /// [`Error::Forbidden`], also with a token that is limited to runtimes; [`Error::UnknownRoute`];
    /// [`Invalid::Site`]; any error of `registry.db`.
    pub async fn remove_route(
        &self,
        caller: &Caller,
        site: Option<SiteName>,
        prefix: RoutePrefix,
    ) -> Result<(), Error> {
        let (registry, caller) = (self.clone(), caller.clone());
        finished(async move {
            let route = AuditedRoute { site: site.clone(), prefix: prefix.clone(), auth: None };
            let (runtime_id, worker_id) = (None, None);
            let action = Action::RouteRemove;
            let mut change = RouteChange { action, runtime_id, worker_id, route };
            let removed = registry.try_remove(&caller, site, prefix).await;
            let removed = removed.map(|view| {
                change.route.site = Some(view.site);
                change.route.auth = Some(view.auth);
                (change.runtime_id, change.worker_id) =
                    (Some(view.runtime_id), Some(view.worker_id));
            });
            registry.audited(&caller, change, removed).await
        })
        .await
    }

    async fn try_add(&self, caller: &Caller, new: NewRoute) -> Result<Stored<RouteView>, Error> {
        let NewRoute { site, prefix, runtime_id, worker_id, auth } = new;
        self.allows(caller, Role::Admin)?;
        let sites = Arc::clone(self.sites());
        let spec = sites.site(site.as_ref())?.clone();
        manages(caller, &spec.name)?;
        let runtime_id = runtime_id.or_else(|| self.own_id()).ok_or(Error::RuntimeUnavailable)?;
        let route = SiteRoute { prefix, runtime_id, worker_id, auth };
        sites.check(&spec, &route)?;
        let worker = self.handle(caller, &route.runtime_id)?.get(worker_id).await?;
        if worker.kind != ComponentKind::Http {
            return Err(Invalid::NotHttp.into());
        }
        let now = self.now();
        on_disk(move || sites.add(&spec, route, now)).await
    }

    async fn try_remove(
        &self,
        caller: &Caller,
        site: Option<SiteName>,
        prefix: RoutePrefix,
    ) -> Result<RouteView, Error> {
        self.allows(caller, Role::Admin)?;
        let sites = Arc::clone(self.sites());
        // The site may be gone from the settings.
        let site = match site {
            Some(site) => site,
            None => sites.site(None)?.name.clone(),
        };
        manages(caller, &site)?;
        on_disk(move || {
            let found = sites.find(&site, &prefix)?;
            let found = found.ok_or_else(|| Error::UnknownRoute(prefix.clone()))?;
            sites.remove(&site, &prefix)?;
            Ok(found)
        })
        .await
    }

    /// Writes a change to the audit, before its result is answered.
    async fn audited<T>(
        &self,
        caller: &Caller,
        change: RouteChange,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let RouteChange { action, runtime_id, worker_id, route } = change;
        let state = Some(AuditedState { route: Some(route), ..AuditedState::default() });
        let (before, after) = match action {
            Action::RouteRemove => (state, None),
            _ => (None, state),
        };
        let record = AuditRecord {
            at: self.now(),
            token_id: caller.token_id.clone(),
            action,
            runtime_id,
            worker_id,
            outcome: audit_word(result.as_ref().err()),
            before,
            after,
        };
        match (result, self.record(record).await) {
            (Ok(_), Err(error)) => Err(error),
            (result, _) => result,
        }
    }
}

/// Checks that the caller may change the routes of a site.
fn manages(caller: &Caller, site: &SiteName) -> Result<(), Error> {
    match &caller.runtimes {
        None => Ok(()),
        Some(_) => Err(Error::Forbidden(Need::Site(site.clone()))),
    }
}

/// Runs a change in a task of its own: a caller that disconnects cannot keep it out of the audit.
async fn finished<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change.in_current_span()).await.unwrap_or_else(|error| {
        tracing::error!(panicked = error.is_panic(), "a change of the routes did not complete");
        Err(Error::Internal)
    })
}

/// Runs work that waits for the disk on a blocking thread.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal))
}
