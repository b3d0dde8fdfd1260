//! Changes of other processes to the file.

use skep_protocol::{DisplayRef, Error, Status};
use skep_registry::{Caller, RegistryError, RemoteSpec};

use crate::bed::{Bed, Net, far, id, spec, subjects, until};
use crate::puppet::Mood;

fn ids(bed: &Bed) -> impl AsyncFn() -> Vec<String> + '_ {
    async || {
        let list = bed.registry.runtimes(&Caller::operator()).await;
        list.items.iter().map(|runtime| runtime.runtime_id.to_string()).collect()
    }
}

#[tokio::test]
async fn remotes_are_added_and_removed_at_run_time() {
    let net = Net::default();
    let [a, _b, other] = far(&net, ["a", "b", "other"]);
    let bed = Bed::new(net.clone(), vec![spec("b")]);
    assert_eq!(ids(&bed)().await, ["home", "b", "local"]);
    let worker = a.worker().await;

    let registrar = bed.registrar();
    registrar.remotes().add(&spec("a")).unwrap();
    until(async || (ids(&bed)().await == ["home", "a", "b", "local"]).then_some(())).await;
    assert!(bed.at("a").get(worker).await.is_ok());
    let calls = a.calls();
    registrar.remotes().add(&spec("c")).unwrap();
    until(async || (ids(&bed)().await.len() == 5).then_some(())).await;
    assert!(a.calls() > calls, "the remote was kept");

    // A changed entry with the same id is a new remote.
    let moved = RemoteSpec { endpoint: "https://elsewhere.example".into(), ..spec("a") };
    net.put(&moved.endpoint, &other);
    registrar.remotes().add(&moved).unwrap();
    bed.registry.reload();
    bed.until("a", Status::Unavailable).await;
    let list = bed.registry.runtimes(&Caller::operator()).await;
    assert!(subjects(&list.diagnostics).iter().any(|(subject, _)| subject == "a"));

    registrar.remotes().remove(&id("a")).unwrap();
    until(async || (ids(&bed)().await == ["home", "b", "c", "local"]).then_some(())).await;
    assert_eq!(bed.at("a").get(worker).await.err(), Some(Error::UnknownRuntime(id("a"))));
    let calls = (a.calls(), other.calls());
    other.is(Mood::Well);
    bed.registry.runtimes(&Caller::operator()).await;
    assert_eq!((a.calls(), other.calls()), calls, "a removed remote is not called");
}

#[tokio::test]
async fn an_entry_round_trips_through_the_file() {
    let bed = Bed::new(Net::default(), Vec::new());
    let whole = RemoteSpec {
        token_file: Some("/etc/skep/a token".into()),
        ca_file: Some("/etc/ca.pem".into()),
        insecure: true,
        display_name: Some("The attic".parse::<DisplayRef>().unwrap()),
        ..spec("z")
    };
    let registrar = bed.registrar();
    registrar.remotes().add(&whole).unwrap();
    registrar.remotes().add(&spec("a")).unwrap();
    assert_eq!(bed.registry.remotes().list().unwrap(), [spec("a"), whole]);
    let unknown = registrar.remotes().remove(&id("none")).unwrap_err();
    assert_eq!(unknown, RegistryError::UnknownRemote(id("none")));
    let reserved = registrar.remotes().add(&spec("local")).unwrap_err();
    assert_eq!(reserved, RegistryError::ReservedId);
    registrar.remotes().remove(&id("a")).unwrap();
    let said: Vec<_> = bed.audit().into_iter().map(|e| (e.action, e.runtime_id)).collect();
    let said: Vec<_> = said.iter().map(|(a, r)| (a.as_str(), r.clone().unwrap())).collect();
    let expected = [("remote.remove", id("a")), ("remote.add", id("a")), ("remote.add", id("z"))];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn two_stores_are_two_workspaces() {
    let net = Net::default();
    let [_a] = far(&net, ["a"]);
    let (one, other) = (Bed::new(net.clone(), Vec::new()), Bed::new(net, vec![spec("a")]));
    let worker = other.home.worker().await;
    let token = other.caller(skep_protocol::Role::Admin, None);
    assert_eq!(one.registry.access().has_tokens(), Ok(false));
    assert_eq!(ids(&one)().await, ["home", "local"]);
    // A token is valid only for the store that created it.
    let unknown = one.registry.access().revoke(&token.token_id.unwrap());
    assert!(unknown.is_err());
    assert_eq!(one.at("home").get(worker).await.err(), Some(Error::UnknownWorker(worker)));
    assert!(other.at("home").get(worker).await.is_ok());
    assert_eq!(one.at("a").describe().await.err(), Some(Error::UnknownRuntime(id("a"))));
}
