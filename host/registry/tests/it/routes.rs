//! Routes to HTTP workers.

use skep_protocol::*;
use skep_registry::{Caller, SiteRoute, SiteSpec};

use crate::bed::{Bed, Net, far, id, spec, until};
use crate::puppet::Mood;

fn site(name: &str, public: bool, routes: Vec<SiteRoute>) -> SiteSpec {
    SiteSpec { name: name.parse().unwrap(), public, routes }
}

/// Makes a bed with these sites.
fn bed(sites: Vec<SiteSpec>) -> Bed {
    Bed::with(Net::default(), Vec::new(), |parts| parts.sites = sites)
}

fn new(prefix: &str, worker_id: WorkerId) -> NewRoute {
    let (prefix, auth) = (prefix.parse().unwrap(), RouteAuth::Token);
    NewRoute { site: None, prefix, runtime_id: None, worker_id, auth }
}

impl Bed {
    async fn add(&self, caller: &Caller, new: NewRoute) -> Result<Stored<RouteView>, Error> {
        self.registry.add_route(caller, new).await
    }

    /// Returns the prefixes of a site's routes.
    fn used(&self, site: &str) -> Vec<String> {
        let routes = self.registry.site_routes(&site.parse().unwrap());
        routes.iter().map(|route| route.prefix.to_string()).collect()
    }
}

#[tokio::test]
async fn a_route_is_used_from_its_addition_to_its_removal() {
    let bed = bed(vec![site("main", true, Vec::new())]);
    let web = bed.home.http_worker().await;
    let admin = bed.caller(Role::Admin, None);
    let added = bed.add(&admin, new("Shop.example/cart/", web)).await.unwrap();
    assert!(added.created);
    assert_eq!((added.item.runtime_id.clone(), added.item.worker_id), (id("home"), web));
    assert_eq!((added.item.auth, added.item.state), (RouteAuth::Token, RouteState::Active));
    assert_eq!(bed.used("main"), ["shop.example/cart"]);
    let again = bed.add(&admin, new("shop.example/cart", web)).await.unwrap();
    assert_eq!(again, Stored { created: false, ..added.clone() });
    let public = NewRoute { auth: RouteAuth::Public, ..new("shop.example/cart", web) };
    assert_eq!(bed.add(&admin, public).await, Err(Conflict::Route.into()));
    assert_eq!(bed.registry.routes(&admin), Ok(vec![added.item]));

    let prefix: RoutePrefix = "shop.example/cart".parse().unwrap();
    bed.registry.remove_route(&admin, None, prefix.clone()).await.unwrap();
    assert!(bed.used("main").is_empty());
    let gone = bed.registry.remove_route(&admin, None, prefix.clone()).await;
    assert_eq!(gone, Err(Error::UnknownRoute(prefix)));

    let rows: Vec<_> = bed.audit().into_iter().filter(|e| e.action.starts_with("route")).collect();
    let shown = |e: &AuditEntry| (e.action.clone(), e.outcome.clone(), e.worker_id);
    let shown: Vec<_> = rows.iter().rev().map(shown).collect();
    let [add, remove] = ["route.add", "route.remove"].map(str::to_owned);
    let [ok, conflict, unknown] = ["ok", "conflict", "unknown_route"].map(str::to_owned);
    assert_eq!(
        shown,
        [
            (add.clone(), ok.clone(), Some(web)),
            (add.clone(), ok.clone(), Some(web)),
            (add, conflict, Some(web)),
            (remove.clone(), ok, Some(web)),
            (remove, unknown, None),
        ]
    );
    assert!(rows.iter().all(|entry| entry.token_id == admin.token_id));
    let removed = rows[1].before.clone().unwrap().route.unwrap();
    assert_eq!(removed.site, Some("main".parse().unwrap()));
    assert_eq!(
        (removed.prefix.to_string(), removed.auth),
        ("shop.example/cart".into(), Some(RouteAuth::Token))
    );
}

#[tokio::test]
async fn the_settings_come_first() {
    let fixed = |worker_id| SiteRoute {
        prefix: "shop.example/".parse().unwrap(),
        runtime_id: id("home"),
        worker_id,
        auth: RouteAuth::Public,
    };
    let elsewhere = fixed(WorkerId::new(1, [1; 10]));
    let bed = bed(vec![site("main", false, vec![elsewhere]), site("open", true, Vec::new())]);
    let web = bed.home.http_worker().await;
    let admin = Caller::operator();
    let on = |site: &str, prefix: &str, auth| NewRoute {
        site: Some(site.parse().unwrap()),
        auth,
        ..new(prefix, web)
    };
    let (token, public) = (RouteAuth::Token, RouteAuth::Public);
    let refused = |error: Error| Err::<Stored<RouteView>, _>(error);
    for (wanted, expected) in [
        (on("main", "SHOP.example/", token), refused(Conflict::Route.into())),
        (
            on("main", "shop.example/a", public),
            refused(Error::Forbidden(Need::PublicSite("main".parse().unwrap()))),
        ),
        (on("none", "/", token), refused(Error::UnknownSite("none".parse().unwrap()))),
        (new("/", web), refused(Invalid::Site.into())),
    ] {
        assert_eq!(bed.add(&admin, wanted.clone()).await, expected, "{wanted:?}");
    }
    assert!(bed.add(&admin, on("main", "shop.example/a", token)).await.is_ok());
    assert!(bed.add(&admin, on("open", "shop.example/", public)).await.is_ok());
    let settings = bed.registry.routes(&admin).unwrap().remove(0);
    assert_eq!((settings.created_at, settings.state), (None, RouteState::Active));
    assert_eq!(bed.used("main"), ["shop.example/", "shop.example/a"]);
    // A route of the settings is not removed here.
    let prefix: RoutePrefix = "shop.example/".parse().unwrap();
    let main = Some("main".parse().unwrap());
    let gone = bed.registry.remove_route(&admin, main, prefix.clone()).await;
    assert_eq!(gone, Err(Error::UnknownRoute(prefix)));
}

#[tokio::test]
async fn a_route_leads_to_an_http_worker_that_is_there() {
    let net = Net::default();
    let [far] = far(&net, ["far"]);
    let bed = Bed::with(net, vec![spec("far")], |parts| {
        parts.sites = vec![site("main", false, Vec::new())];
    });
    let admin = Caller::operator();
    let scribe = bed.home.worker().await;
    assert_eq!(bed.add(&admin, new("/", scribe)).await, Err(Invalid::NotHttp.into()));
    let unknown = WorkerId::new(1, [1; 10]);
    assert_eq!(bed.add(&admin, new("/", unknown)).await, Err(Error::UnknownWorker(unknown)));
    let there =
        |runtime: &str, worker| NewRoute { runtime_id: Some(id(runtime)), ..new("/", worker) };
    let nowhere = bed.add(&admin, there("none", unknown)).await;
    assert_eq!(nowhere, Err(Error::UnknownRuntime(id("none"))));
    let away = far.http_worker().await;
    far.is(Mood::Says(Error::RuntimeUnavailable));
    assert_eq!(bed.add(&admin, there("far", away)).await, Err(Error::RuntimeUnavailable));
    far.is(Mood::Well);
    until(async || bed.add(&admin, there("far", away)).await.ok()).await;
    assert_eq!(bed.registry.routes(&admin).unwrap()[0].runtime_id, id("far"));
    // A route outlives its worker, whose id is never used again.
    far.behind().remove(away).await.unwrap();
    assert_eq!(bed.used("main"), ["/"]);
}

#[tokio::test]
async fn only_an_admin_of_all_runtimes_changes_routes() {
    let bed = bed(vec![site("main", false, Vec::new())]);
    let web = bed.home.http_worker().await;
    bed.add(&Caller::operator(), new("/", web)).await.unwrap();
    let prefix: RoutePrefix = "/".parse().unwrap();
    for role in [Role::Viewer, Role::Operator] {
        let caller = bed.caller(role, None);
        let needs = Error::Forbidden(Need::Role(Role::Admin));
        assert_eq!(bed.registry.routes(&caller), Err(needs.clone()));
        assert_eq!(bed.add(&caller, new("/a", web)).await, Err(needs.clone()));
        let removed = bed.registry.remove_route(&caller, None, prefix.clone()).await;
        assert_eq!(removed, Err(needs));
        let [removed, added] = [0, 1].map(|n| bed.audit().remove(n));
        assert_eq!((removed.outcome.as_str(), removed.token_id), ("forbidden", caller.token_id));
        assert_eq!((added.outcome.as_str(), added.worker_id), ("forbidden", Some(web)));
    }
    // On a site, one runtime's worker could take the place of another's.
    let home = bed.caller(Role::Admin, Some(&["home"]));
    let needs = Error::Forbidden(Need::Site("main".parse().unwrap()));
    assert_eq!(bed.add(&home, new("/a", web)).await, Err(needs.clone()));
    assert_eq!(bed.registry.remove_route(&home, None, prefix).await, Err(needs));
    assert_eq!(bed.registry.routes(&home).unwrap().len(), 1);
    let elsewhere = bed.caller(Role::Admin, Some(&["elsewhere"]));
    assert!(bed.registry.routes(&elsewhere).unwrap().is_empty());
    assert_eq!(bed.used("main"), ["/"]);
}

#[tokio::test]
async fn a_route_that_another_process_removes_is_used_no_longer() {
    let bed = bed(vec![site("main", false, Vec::new())]);
    let web = bed.home.http_worker().await;
    bed.add(&Caller::operator(), new("/", web)).await.unwrap();
    let file = rusqlite::Connection::open(bed.root().join("registry.db")).unwrap();
    file.execute("DELETE FROM route", []).unwrap();
    until(async || bed.used("main").is_empty().then_some(())).await;
}
