//! Permissions: every verb with every role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use skep_protocol::step::{BlobList, StepProgress, StepRequest};
use skep_protocol::*;
use skep_registry::{Caller, Ceilings};

use crate::bed::{Bed, Net, far, id, spec};

fn bytes() -> ByteStream {
    stream::iter([Ok("x".into())]).boxed()
}

fn no_body() -> HttpBody {
    http_body_util::Empty::new().map_err(|_| BodyCut).boxed_unsync()
}

pub(crate) fn step() -> StepRequest {
    let component = format!("sha256:{}", "0".repeat(64));
    let request = serde_json::json!({
        "run": "one",
        "step": {
            "id": "a",
            "tool": "a",
            "component": { "digest": component, "bytes": 1 },
            "argv": ["a"],
            "log_bytes": 1,
            "expected": { "outcomes": ["exited"] },
            "verify": 1,
        },
    });
    serde_json::from_value(request).unwrap()
}

/// Calls every verb. Returns the minimum role and the result of each.
async fn each(runtime: &Arc<dyn RuntimeHandle>) -> Vec<(&'static str, Role, Option<Error>)> {
    let worker = WorkerId::new(1, [0; 10]);
    let input = InputId::new(1, [0; 10]);
    let component = ComponentDigest::from_sha256([0; 32]);
    let config = ConfigDigest::from_sha256([0; 32]);
    let name: FileName = "a".parse().unwrap();
    let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component) };
    let new = NewInput {
        payload: Payload { content_type: "text/plain".into(), body: "x".into() },
        key: None,
        wait: None,
        sender: None,
    };
    let values = ConfigValues::try_from(BTreeMap::new()).unwrap();
    let blob = BlobHash::from_sha256([0; 32]);
    let key: StepKey = "0".parse().unwrap();
    let mut said = Vec::new();
    macro_rules! say {
        ($($role:ident $name:ident($($arg:expr),*);)*) => {
            $(said.push((stringify!($name), Role::$role, runtime.$name($($arg),*).await.err()));)*
        };
    }
    say! {
        Viewer describe();
        Operator create(request);
        Operator fork(worker, ForkWorker::default());
        Viewer list(ListWorkers::default());
        Viewer get(worker);
        Operator update(worker, WorkerChange::default());
        Operator rollback(worker);
        Operator remove(worker);
        Operator start(worker);
        Operator stop(worker);
        Operator send(worker, new);
        Operator cancel(worker, input);
        Operator http(worker, HttpRequest::new(no_body()));
        Viewer input(worker, input);
        Viewer inputs(worker, ListInputs::default());
        Viewer transcript(worker, ListEntries::default());
        Viewer entry(worker, Cursor(1));
        Viewer subscribe(worker, None, None);
        Viewer changes(FollowChanges::default());
        Operator put_component(bytes(), Role::Admin);
        Operator check_component(bytes());
        Viewer component(component);
        Viewer components(None);
        Operator remove_component(component);
        Viewer files(worker, ListFiles::default());
        Viewer read_file(worker, name.clone(), None);
        Operator write_file(worker, name.clone(), bytes(), FileCondition::Any);
        Operator remove_file(worker, name.clone(), RemoveFile::default());
        Operator rename_file(worker, RenameFile { from: name.clone(), to: name });
        Viewer export(worker);
        Operator import(worker, bytes());
        Operator put_config(values);
        Viewer config(config);
        Viewer configs(None);
        Operator remove_config(config);
        Viewer diagnostics(None);
        Viewer state(worker, ListState::default());
        Viewer load_history();
        Viewer usage_history(worker);
        Viewer usage(worker);
        Operator missing_blobs(BlobList::default());
        Operator put_blob(blob, bytes());
        Operator read_blob(blob);
        Operator start_step(step(), Role::Admin);
        Operator step(key.clone(), StepProgress::default());
        Operator cancel_step(key);
    }
    let called: BTreeSet<_> = said.iter().map(|(verb, ..)| *verb).collect();
    assert_eq!(called, Verb::NAMES.iter().copied().collect(), "every verb has its role here");
    said
}

#[tokio::test]
async fn every_verb_needs_its_role() {
    let bed = Bed::new(Net::default(), Vec::new());
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let caller = bed.caller(role, None);
        let runtime = bed.registry.own(&caller).unwrap();
        for (verb, needs, error) in each(&runtime).await {
            let refused = matches!(error, Some(Error::Forbidden(_)));
            assert_eq!(refused, role < needs, "{verb} for {role:?}: {error:?}");
        }
        let audit = bed.registry.audit(&caller, &ListAudit::default());
        assert_eq!(audit.is_ok(), role == Role::Admin);
    }
}

#[tokio::test]
async fn an_invisible_runtime_is_unknown() {
    let net = Net::default();
    let [_far] = far(&net, ["far"]);
    let bed = Bed::new(net, vec![spec("far")]);
    let caller = bed.caller(Role::Admin, Some(&["home"]));
    let unseen = bed.registry.handle(&caller, &id("far")).unwrap();
    let missing = bed.registry.handle(&caller, &id("none")).unwrap();
    for (verb, _, error) in each(&unseen).await {
        assert_eq!(error, Some(Error::UnknownRuntime(id("far"))), "{verb}");
    }
    for (verb, _, error) in each(&missing).await {
        assert_eq!(error, Some(Error::UnknownRuntime(id("none"))), "{verb}");
    }
    // Only the audit tells them apart.
    let said: Vec<_> = bed.audit().into_iter().filter(|entry| entry.worker_id.is_some()).collect();
    assert!(!said.is_empty());
    for entry in said {
        let unseen = entry.runtime_id == Some(id("far"));
        let expected = if unseen { "worker_not_visible" } else { "unknown_runtime" };
        assert_eq!(entry.outcome, expected, "{entry:?}");
    }
    let seen = bed.registry.runtimes(&caller).await;
    let seen: Vec<_> = seen.items.iter().map(|runtime| runtime.runtime_id.as_str()).collect();
    assert_eq!(seen, ["home"]);
    let unknown = bed.registry.runtime(&caller, &id("far")).await;
    assert_eq!(unknown, Err(Error::UnknownRuntime(id("far"))));
}

#[tokio::test]
async fn a_token_without_runtimes_sees_none() {
    let bed = Bed::new(Net::default(), Vec::new());
    bed.home.worker().await;
    let caller = bed.caller(Role::Viewer, Some(&[]));
    assert!(bed.registry.runtimes(&caller).await.items.is_empty());
    let workers = bed.registry.workers(&caller, None, ListWorkers::default()).await.unwrap();
    assert!(workers.items.is_empty());
    assert!(bed.registry.hosts(&caller).await.items.is_empty());
}

#[tokio::test]
async fn operators_are_limited_by_ceilings() {
    let ceilings = Ceilings {
        scopes: ["docs".parse().unwrap()].into(),
        limits: [(LimitName::memory_bytes, 1 << 40)].into(),
        ..Ceilings::default()
    };
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.ceilings = Some(ceilings));
    let worker = bed.home.worker().await;
    let component = bed.home.behind().get(worker).await.unwrap().spec.component;
    let plain = WorkerSpec::new(component);
    let scope = |name: &str| {
        let mut spec = plain.clone();
        spec.grants.scopes.push(ScopeGrant {
            name: name.parse().unwrap(),
            guest: "/x".parse().unwrap(),
            rights: Rights::ReadOnly,
        });
        spec
    };
    let limit = |name, value| {
        let mut spec = plain.clone();
        spec.limits.0.insert(name, value);
        spec
    };
    let defaults = Limits::default();
    let rows = [
        (plain.clone(), true),
        (scope("docs"), true),
        (scope("secrets"), false),
        (limit(LimitName::memory_bytes, 1 << 40), true),
        (limit(LimitName::memory_bytes, (1 << 40) + 1), false),
        (limit(LimitName::disk_bytes, defaults.get(LimitName::disk_bytes)), true),
        (limit(LimitName::disk_bytes, defaults.get(LimitName::disk_bytes) + 1), false),
    ];
    for (spec, allowed) in rows {
        for role in [Role::Operator, Role::Admin] {
            let runtime = bed.registry.own(&bed.caller(role, None)).unwrap();
            let request = CreateWorker { worker_id: None, spec: spec.clone() };
            let refused = runtime
                .create(request)
                .await
                .err()
                .is_some_and(|error| error.code() == "forbidden");
            assert_eq!(refused, !allowed && role == Role::Operator, "{spec:?} for {role:?}");
        }
    }
    // Code that runs in a worker has all of the worker's grants.
    let request = CreateWorker { worker_id: None, spec: limit(LimitName::disk_bytes, 1 << 50) };
    let large = bed.home.behind().create(request).await.unwrap().item.worker_id;
    let operator = bed.registry.own(&bed.caller(Role::Operator, None)).unwrap();
    let change = WorkerChange { component: Some(component), ..WorkerChange::default() };
    assert!(matches!(
        operator.update(large, change.clone()).await.err(),
        Some(Error::Forbidden(_))
    ));
    assert!(matches!(operator.rollback(large).await.err(), Some(Error::Forbidden(_))));
    assert!(operator.update(worker, change.clone()).await.is_ok());
    assert!(operator.update(large, WorkerChange::default()).await.is_ok());
    assert!(bed.registry.own(&Caller::operator()).unwrap().update(large, change).await.is_ok());
}

/// Returns what a refused request would need.
fn need<T: std::fmt::Debug>(refused: Result<T, Error>) -> Need {
    match refused {
        Err(Error::Forbidden(need)) => need,
        other => panic!("{other:?} is not forbidden"),
    }
}

#[tokio::test]
async fn a_refusal_names_what_the_request_would_need() {
    let ceilings =
        Ceilings { limits: [(LimitName::memory_bytes, 1 << 30)].into(), ..Ceilings::default() };
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.ceilings = Some(ceilings));
    let worker = bed.home.worker().await;
    let operator = bed.registry.own(&bed.caller(Role::Operator, None)).unwrap();
    let viewer = bed.registry.own(&bed.caller(Role::Viewer, None)).unwrap();
    assert_eq!(need(viewer.stop(worker).await), Need::Role(Role::Operator));
    let to = |limits: &[(LimitName, u64)]| WorkerChange {
        limits: Some(LimitChanges(limits.iter().copied().collect())),
        ..WorkerChange::default()
    };
    let limit = LimitName::memory_bytes;
    assert_eq!(need(viewer.update(worker, to(&[(limit, 1)])).await), Need::Role(Role::Operator));
    assert!(operator.update(worker, to(&[(limit, 1 << 30)])).await.is_ok());
    let past = operator.update(worker, to(&[(limit, (1 << 30) + 1)])).await;
    assert_eq!(need(past), Need::Ceiling { limit, max: 1 << 30 });
    // A limit past its ceiling may stay while another changes.
    let admin = bed.registry.own(&bed.caller(Role::Admin, None)).unwrap();
    admin.update(worker, to(&[(limit, 1 << 40)])).await.unwrap();
    let other = (LimitName::mailbox_inputs, 3);
    assert!(operator.update(worker, to(&[(limit, 1 << 40), other])).await.is_ok());
    assert!(operator.update(worker, to(&[other])).await.is_ok());
    let back = operator.update(worker, to(&[(limit, 1 << 40), other])).await;
    assert_eq!(need(back), Need::Ceiling { limit, max: 1 << 30 });

    let granted = async |grants: Grants| {
        let change = WorkerChange { grants: Some(grants), ..WorkerChange::default() };
        need(operator.update(worker, change).await)
    };
    let scope = granted(scoped("docs", Rights::ReadOnly)).await;
    assert_eq!(scope, Need::Scope("docs".parse().unwrap()));
    let grant: HttpGrant = "https://api.example.com".parse().unwrap();
    assert_eq!(granted(http(&["https://api.example.com"])).await, Need::Http(Box::new(grant)));
    assert_eq!(granted(secrets(&["key"])).await, Need::Secret("key".parse().unwrap()));
}

#[tokio::test]
async fn limits_and_grants_are_listed_for_the_callers_role() {
    let docs = "docs".parse().unwrap();
    let ceilings = Ceilings {
        scopes: [docs].into(),
        limits: [(LimitName::memory_bytes, 1 << 30)].into(),
        ..Ceilings::default()
    };
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.ceilings = Some(ceilings));
    let of = |role, name| {
        let all = bed.registry.limits(&bed.caller(role, None));
        assert_eq!(all.len(), LimitName::ALL.len());
        all.into_iter().find(|view| view.name == name).unwrap()
    };
    for role in [Role::Viewer, Role::Operator] {
        assert_eq!(of(role, LimitName::memory_bytes).ceiling, Some(1 << 30));
        let disk = of(role, LimitName::disk_bytes);
        assert_eq!((disk.ceiling, disk.default), (Some(1 << 30), Some(1 << 30)));
        let fuel = of(role, LimitName::fuel);
        assert_eq!((fuel.ceiling, fuel.default, fuel.per_worker), (None, None, true));
    }
    assert_eq!(of(Role::Admin, LimitName::memory_bytes).ceiling, None);
    let grantable = |role| bed.registry.grantable(&bed.caller(role, None));
    let all = grantable(Role::Admin);
    assert_eq!((all.scopes, all.http, all.secrets), (None, None, None));
    let some = grantable(Role::Operator);
    let scope = GrantableScope { name: "docs".parse().unwrap(), rights: Rights::ReadWrite };
    assert_eq!(
        (some.scopes, some.http, some.secrets),
        (Some(vec![scope]), Some(vec![]), Some(vec![]))
    );
    assert_eq!(grantable(Role::Viewer).scopes, Some(vec![]));
    let open = Bed::new(Net::default(), Vec::new());
    assert_eq!(open.registry.grantable(&open.caller(Role::Operator, None)).scopes, None);
}

fn http(texts: &[&str]) -> Grants {
    let http = texts.iter().map(|text| text.parse().unwrap()).collect();
    Grants { http, ..Grants::default() }
}

fn secrets(names: &[&str]) -> Grants {
    let secrets = names.iter().map(|name| name.parse().unwrap()).collect();
    Grants { secrets, ..Grants::default() }
}

fn scoped(name: &str, rights: Rights) -> Grants {
    let (name, guest) = (name.parse().unwrap(), "/x".parse().unwrap());
    Grants { scopes: vec![ScopeGrant { name, guest, rights }], ..Grants::default() }
}

/// Returns true if the role may change the first grants to the second.
async fn may_regrant(bed: &Bed, role: Role, before: &Grants, after: &Grants) -> bool {
    let worker = bed.home.worker().await;
    let to =
        |grants: &Grants| WorkerChange { grants: Some(grants.clone()), ..WorkerChange::default() };
    bed.home.hold(worker, before.clone());
    let runtime = bed.registry.own(&bed.caller(role, None)).unwrap();
    // The runtime's real grants differ from those shown, so an allowed update still ends in a
    // conflict.
    let refused = runtime.update(worker, to(after)).await.err();
    !matches!(refused, Some(Error::Forbidden(_)))
}

#[tokio::test]
async fn operators_grant_within_ceilings_and_revoke_anything() {
    let ceilings = Ceilings {
        scopes: ["docs".parse().unwrap()].into(),
        http: http(&["https://*.example.com", "GET http://10.0.0.1 inner"]).http,
        secrets: ["key".parse().unwrap()].into(),
        ..Ceilings::default()
    };
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.ceilings = Some(ceilings));
    let none = Grants::default();
    let wide = http(&["https://*", "https://a.other.com"]);
    let (ro, rw) = (Rights::ReadOnly, Rights::ReadWrite);
    let rows = [
        // Added.
        (&none, http(&["https://api.example.com"]), true),
        (&none, http(&["POST https://*.api.example.com"]), true),
        (&none, http(&["https://example.com"]), false),
        (&none, http(&["https://api.example.com inner"]), false),
        (&none, http(&["https://api.example.com:8443"]), false),
        (&none, http(&["GET http://10.0.0.1"]), true),
        (&none, http(&["http://10.0.0.1"]), false),
        (&none, http(&["https://api.example.com", "https://other.com"]), false),
        (&none, secrets(&["key"]), true),
        (&none, secrets(&["key", "other"]), false),
        (&none, scoped("docs", rw), true),
        (&none, scoped("other", ro), false),
        // Beyond the ceilings already.
        (&wide, wide.clone(), true),
        (&wide, http(&["https://a.other.com"]), true),
        (&wide, http(&["https://b.other.com", "GET https://a.other.com"]), true),
        (&wide, none.clone(), true),
        (&wide, http(&["https://*", "https://a.other.com inner"]), false),
        (&wide, http(&["https://*", "http://a.other.com"]), false),
        (&secrets(&["other", "more"]), secrets(&["other"]), true),
        (&secrets(&["other"]), secrets(&["other", "more"]), false),
        (&scoped("other", rw), scoped("other", ro), true),
        (&scoped("other", ro), scoped("other", rw), false),
    ];
    for (before, after, allowed) in rows {
        for role in [Role::Operator, Role::Admin] {
            let may = may_regrant(&bed, role, before, &after).await;
            assert_eq!(may, allowed || role == Role::Admin, "{before:?} to {after:?} for {role:?}");
        }
        assert!(!may_regrant(&bed, Role::Viewer, before, &none).await);
    }
}

#[tokio::test]
async fn without_ceilings_operators_grant_only_scopes() {
    let bed = Bed::new(Net::default(), Vec::new());
    let none = Grants::default();
    for (after, allowed) in [
        (scoped("docs", Rights::ReadWrite), true),
        (http(&["https://api.example.com"]), false),
        (secrets(&["key"]), false),
    ] {
        assert_eq!(may_regrant(&bed, Role::Operator, &none, &after).await, allowed, "{after:?}");
        assert!(may_regrant(&bed, Role::Admin, &none, &after).await, "{after:?}");
    }
    // Nor may they decide what runs with an admin's grants.
    let worker = bed.home.worker().await;
    let component = bed.home.behind().get(worker).await.unwrap().spec.component;
    bed.home.hold(worker, http(&["https://api.example.com"]));
    let change = WorkerChange { component: Some(component), ..WorkerChange::default() };
    let operator = bed.registry.own(&bed.caller(Role::Operator, None)).unwrap();
    assert!(matches!(operator.update(worker, change).await.err(), Some(Error::Forbidden(_))));
}

#[tokio::test]
async fn grants_that_changed_meanwhile_are_not_overwritten() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    let operator = bed.registry.own(&bed.caller(Role::Operator, None)).unwrap();
    // The grants shown to the policy are outdated by the time of the change.
    bed.home.hold(worker, http(&["https://*"]));
    let change = WorkerChange {
        grants: Some(http(&["https://api.example.com"])),
        ..WorkerChange::default()
    };
    let late = operator.update(worker, change.clone()).await;
    assert_eq!(late.err(), Some(Error::Conflict(Conflict::Grants)));
    let stale = WorkerChange { grants_before: Some(Grants::default()), ..change };
    let stale = operator.update(worker, stale).await;
    assert_eq!(stale.err(), Some(Error::Conflict(Conflict::Grants)));
    // Nor may new code get grants that were added meanwhile.
    bed.home.hold(worker, scoped("docs", Rights::ReadOnly));
    let component = bed.home.behind().get(worker).await.unwrap().spec.component;
    let code = WorkerChange { component: Some(component), ..WorkerChange::default() };
    assert_eq!(operator.update(worker, code).await.err(), Some(Error::Conflict(Conflict::Grants)));
}
