//! The sites of a host, and the routes on them: those of the settings, and those of `registry.db`.
//!
//! The settings win: a stored route counts only where they have none with the same host and path, and
//! is public only where they allow it. Requests read a table in memory, which each change replaces.

mod spec;
mod stored_route;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use skep_protocol::{
    Conflict, Error, Invalid, Need, RouteAuth, RoutePrefix, RouteState, RouteView, SiteName,
    Stored, Timestamp,
};

pub use self::spec::{SiteRoute, SiteSpec};
use self::stored_route::StoredRoute;
use crate::RegistryError;
use crate::database::RegistryDatabase;

/// Maximum number of stored routes. A request looks at all of its site.
const ROUTES: i64 = 1_000;

/// The sites, with the routes that are used at present.
pub(crate) struct Sites {
    database: Arc<RegistryDatabase>,
    specs: Vec<SiteSpec>,
    used: RwLock<BTreeMap<SiteName, Arc<[SiteRoute]>>>,
    /// Held from reading the file until the table is replaced, so that an older state of the file
    /// never replaces a later one.
    loading: Mutex<()>,
}

impl Sites {
    /// Loads the stored routes of these sites.
    pub(crate) fn open(
        database: Arc<RegistryDatabase>,
        specs: Vec<SiteSpec>,
    ) -> Result<Self, RegistryError> {
        let (used, loading) = (RwLock::default(), Mutex::default());
        let sites = Self { database, specs, used, loading };
        sites.load()?;
        Ok(sites)
    }

    /// Returns the routes of a site that are used.
    pub(crate) fn used(&self, site: &SiteName) -> Arc<[SiteRoute]> {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        used.get(site).cloned().unwrap_or_default()
    }

    /// Returns all routes: those of the settings, then the stored ones, by site and prefix.
    pub(crate) fn all(&self) -> Result<Vec<RouteView>, RegistryError> {
        let of_settings = |spec: &SiteSpec| {
            let site = spec.name.clone();
            let view = move |route: &SiteRoute| view(route, &site, None, RouteState::Active);
            spec.routes.iter().map(view).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.specs.iter().flat_map(of_settings).collect();
        let stored = self.database.read(stored_route::all)?;
        all.extend(stored.iter().map(|stored| self.view(stored)));
        Ok(all)
    }

    /// Returns a stored route.
    pub(crate) fn find(
        &self,
        site: &SiteName,
        prefix: &RoutePrefix,
    ) -> Result<Option<RouteView>, RegistryError> {
        let found = self.database.read(|all| stored_route::find(all, site, prefix))?;
        Ok(found.map(|stored| self.view(&stored)))
    }

    /// Returns the site of this name, or the only one.
    pub(crate) fn site(&self, name: Option<&SiteName>) -> Result<&SiteSpec, Error> {
        match (name, &self.specs[..]) {
            (Some(name), _) => self.spec(name).ok_or_else(|| Error::UnknownSite(name.clone())),
            (None, [only]) => Ok(only),
            (None, _) => Err(Invalid::Site.into()),
        }
    }

    /// Checks that the settings allow a route.
    pub(crate) fn check(&self, site: &SiteSpec, route: &SiteRoute) -> Result<(), Error> {
        if route.auth == RouteAuth::Public && !site.public {
            return Err(Error::Forbidden(Need::PublicSite(site.name.clone())));
        }
        match has(site, &route.prefix) {
            true => Err(Conflict::Route.into()),
            false => Ok(()),
        }
    }

    /// Stores a route, which [`Sites::check`] has allowed. The same again changes nothing.
    pub(crate) fn add(
        &self,
        site: &SiteSpec,
        route: SiteRoute,
        now: Timestamp,
    ) -> Result<Stored<RouteView>, Error> {
        let new = StoredRoute { site: site.name.clone(), route, created_at: now };
        let added = self.database.write(|transaction| {
            if let Some(had) = stored_route::find(transaction, &new.site, &new.route.prefix)? {
                return Ok(match had.route == new.route {
                    true => Ok(Stored { item: had, created: false }),
                    false => Err(Error::from(Conflict::Route)),
                });
            }
            if stored_route::count(transaction)? >= ROUTES {
                return Ok(Err(Invalid::TooManyRoutes.into()));
            }
            new.insert(transaction)?;
            Ok(Ok(Stored { item: new, created: true }))
        })?;
        let Stored { item, created } = added?;
        self.load()?;
        Ok(Stored { item: self.view(&item), created })
    }

    /// Removes a stored route.
    pub(crate) fn remove(&self, site: &SiteName, prefix: &RoutePrefix) -> Result<(), Error> {
        let removed = self.database.write(|all| stored_route::remove(all, site, prefix))?;
        self.load()?;
        if removed { Ok(()) } else { Err(Error::UnknownRoute(prefix.clone())) }
    }

    /// Makes the table of used routes anew.
    pub(crate) fn load(&self) -> Result<(), RegistryError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.database.read(stored_route::all)?;
        let of_site = |spec: &SiteSpec| {
            let here = stored.iter().filter(|stored| stored.site == spec.name);
            let used = here.filter_map(|stored| match self.state(stored) {
                RouteState::Active => Some(stored.route.clone()),
                RouteState::TokenOnly => {
                    Some(SiteRoute { auth: RouteAuth::Token, ..stored.route.clone() })
                }
                RouteState::Shadowed | RouteState::NoSite => None,
            });
            (spec.name.clone(), spec.routes.iter().cloned().chain(used).collect())
        };
        let used = self.specs.iter().map(of_site).collect();
        *self.used.write().unwrap_or_else(PoisonError::into_inner) = used;
        Ok(())
    }

    fn spec(&self, name: &SiteName) -> Option<&SiteSpec> {
        self.specs.iter().find(|spec| spec.name == *name)
    }

    fn state(&self, stored: &StoredRoute) -> RouteState {
        match self.spec(&stored.site) {
            None => RouteState::NoSite,
            Some(site) if has(site, &stored.route.prefix) => RouteState::Shadowed,
            Some(site) if stored.route.auth == RouteAuth::Public && !site.public => {
                RouteState::TokenOnly
            }
            Some(_) => RouteState::Active,
        }
    }

    fn view(&self, stored: &StoredRoute) -> RouteView {
        view(&stored.route, &stored.site, Some(stored.created_at), self.state(stored))
    }
}

/// Returns true if the settings have a route with this prefix.
fn has(site: &SiteSpec, prefix: &RoutePrefix) -> bool {
    site.routes.iter().any(|route| route.prefix == *prefix)
}

fn view(
    route: &SiteRoute,
    site: &SiteName,
    created_at: Option<Timestamp>,
    state: RouteState,
) -> RouteView {
    let SiteRoute { prefix, runtime_id, worker_id, auth } = route.clone();
    RouteView { site: site.clone(), prefix, runtime_id, worker_id, auth, created_at, state }
}

#[cfg(test)]
mod tests {
    use skep_protocol::WorkerId;

    use super::*;
    use crate::database::OWN;

    fn name(text: &str) -> SiteName {
        text.parse().unwrap()
    }

    fn route(prefix: &str, auth: RouteAuth) -> SiteRoute {
        let (runtime_id, worker_id) = ("home".parse().unwrap(), WorkerId::new(1, [1; 10]));
        SiteRoute { prefix: prefix.parse().unwrap(), runtime_id, worker_id, auth }
    }

    fn site(text: &str, public: bool, prefixes: &[&str]) -> SiteSpec {
        let routes = prefixes.iter().map(|prefix| route(prefix, RouteAuth::Public)).collect();
        SiteSpec { name: name(text), public, routes }
    }

    fn states(sites: &Sites) -> Vec<(String, RouteState)> {
        let all = sites.all().unwrap().into_iter();
        let stored = all.filter(|view| view.created_at.is_some());
        stored.map(|view| (view.prefix.to_string(), view.state)).collect()
    }

    #[test]
    fn settings_decide_the_effect_of_a_stored_route() {
        let dir = cap_tempfile::tempdir(cap_std::ambient_authority()).unwrap();
        let database = Arc::new(RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap());
        let open = |specs: Vec<SiteSpec>| Sites::open(Arc::clone(&database), specs).unwrap();
        let sites = open(vec![site("main", true, &["/fixed"])]);
        let main = sites.site(None).unwrap();
        for new in [route("a.example/", RouteAuth::Public), route("a.example/b", RouteAuth::Token)]
        {
            sites.check(main, &new).unwrap();
            assert!(sites.add(main, new.clone(), Timestamp(7)).unwrap().created);
            assert!(!sites.add(main, new, Timestamp(8)).unwrap().created);
        }
        let used = sites.used(&name("main"));
        let used: Vec<_> = used.iter().map(|used| (used.prefix.to_string(), used.auth)).collect();
        let token = ("a.example/b".to_owned(), RouteAuth::Token);
        let fixed = ("/fixed".to_owned(), RouteAuth::Public);
        let public = ("a.example/".to_owned(), RouteAuth::Public);
        assert_eq!(used, [fixed, public, token.clone()]);

        // The same file with other settings.
        let sites = open(vec![site("main", false, &[])]);
        let expected = [RouteState::TokenOnly, RouteState::Active];
        assert_eq!(states(&sites).iter().map(|(_, state)| *state).collect::<Vec<_>>(), expected);
        assert!(sites.used(&name("main")).iter().all(|used| used.auth == RouteAuth::Token));
        let sites = open(vec![site("main", true, &["A.example/"])]);
        let expected = [RouteState::Shadowed, RouteState::Active];
        assert_eq!(states(&sites).iter().map(|(_, state)| *state).collect::<Vec<_>>(), expected);
        assert_eq!(sites.used(&name("main")).len(), 2);
        let sites = open(vec![site("other", true, &[])]);
        assert!(states(&sites).iter().all(|(_, state)| *state == RouteState::NoSite));
        assert!(sites.used(&name("main")).is_empty() && sites.used(&name("other")).is_empty());
        // It can be removed all the same.
        sites.remove(&name("main"), &"a.example/b".parse().unwrap()).unwrap();
        assert_eq!(states(&sites).len(), 1);
    }

    #[test]
    fn a_host_has_a_bounded_number_of_routes() {
        let dir = cap_tempfile::tempdir(cap_std::ambient_authority()).unwrap();
        let database = Arc::new(RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap());
        let sites = Sites::open(Arc::clone(&database), vec![site("main", false, &[])]).unwrap();
        let main = sites.site(None).unwrap();
        let many = |transaction: &rusqlite::Transaction<'_>| {
            for n in 1..ROUTES {
                let (site, created_at) = (name("gone"), Timestamp(0));
                let route = route(&format!("/{n}"), RouteAuth::Token);
                StoredRoute { site, route, created_at }.insert(transaction)?;
            }
            Ok(())
        };
        database.write(many).unwrap();
        let last = route("/last", RouteAuth::Token);
        assert!(sites.add(main, last.clone(), Timestamp(0)).is_ok());
        let more = sites.add(main, route("/more", RouteAuth::Token), Timestamp(0));
        assert_eq!(more, Err(Invalid::TooManyRoutes.into()));
        assert!(sites.add(main, last, Timestamp(0)).is_ok(), "it exists");
        assert_eq!(sites.used(&name("main")).len(), 1);
    }
}
