//! Operator-only information does not leak.

use std::fmt::Debug;

use futures_util::StreamExt;
use skep_protocol::*;
use skep_registry::{
    Caller, ConnectError, LocalRun, Network, RegistryError, RemoteSpec, RunRecord,
};

use crate::bed::{Bed, Net, id, spec};

const ENDPOINT: &str = "marker-endpoint";
const FILE: &str = "marker-file";

fn marked(name: &str) -> RemoteSpec {
    RemoteSpec {
        endpoint: format!("https://{ENDPOINT}.example:1"),
        token_file: Some(format!("/{FILE}/token").into()),
        ca_file: Some(format!("/{FILE}/ca").into()),
        ..spec(name)
    }
}

/// Collected texts, and the strings that must not be in them.
struct Said {
    all: Vec<String>,
    never: Vec<String>,
}

impl Said {
    fn debug(&mut self, what: &dyn Debug) {
        self.all.push(format!("{what:?} {what:#?}"));
    }

    fn error(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.all.push(format!("{error} {error:?}"));
            next = error.source();
        }
    }
}

#[tokio::test]
async fn no_endpoint_token_or_path_leaks() {
    let bed = Bed::new(Net::default(), vec![marked("a")]);
    bed.registry.remotes().add(&marked("b")).unwrap();
    let access = bed.registry.access();
    let new = CreateToken { role: Role::Admin, name: None, runtimes: None, expires_at: None };
    let (token, view) = access.create_token(new).unwrap();
    let peer = [127, 0, 0, 1].into();
    let (session, caller) = access.login(peer, token.expose()).unwrap();
    let code = access.login_code().unwrap();
    let process = access.process_token(Role::Admin).unwrap();
    let root = bed.root();
    let mut said = Said { all: Vec::new(), never: vec![ENDPOINT.into(), FILE.into()] };
    said.never.push(root.file_name().unwrap().to_str().unwrap().into());
    for secret in [&token, &session, &code, &process] {
        said.never.push(secret.expose().splitn(3, '_').nth(2).unwrap().into());
        said.never.push(secret.expose().into());
        said.debug(secret);
    }

    said.debug(&marked("a"));
    let run = RunRecord {
        worker_id: WorkerId::new(1, [0; 10]),
        component: ComponentDigest::from_sha256([7; 32]),
        kind: ComponentKind::Command,
        display_ref: None,
        started_at: Timestamp(0),
        pid: 1,
    };
    said.debug(&LocalRun::register(&bed.store, &run).unwrap());
    said.debug(&(view, caller.clone(), access, bed.registry.remotes(), bed.registrar()));
    for error in [
        RegistryError::NewerFormat { found: 9 },
        RegistryError::Damaged,
        RegistryError::InUse,
        RegistryError::Full,
        RegistryError::Io,
        RegistryError::NoRandomness,
        RegistryError::UnknownRemote(id("a")),
        RegistryError::ReservedId,
    ] {
        said.error(&error);
        said.error(&Error::from(error));
    }
    said.error(&ConnectError);
    said.error(&access.bearer(peer, &format!("{}x", token.expose())).await.unwrap_err());
    said.error(&access.login(peer, &format!("{}x", code.expose())).unwrap_err());
    said.error(&access.session(&format!("{}x", session.expose())).await.unwrap_err());
    for runtime in ["a", "b", "none"] {
        let handle = bed.registry.handle(&caller, &id(runtime)).unwrap();
        said.error(&handle.list(ListWorkers::default()).await.unwrap_err());
        said.error(&handle.remove(WorkerId::new(1, [0; 10])).await.unwrap_err());
    }
    let workers = ListWorkers::default();
    said.debug(&bed.registry.runtimes(&caller).await);
    said.debug(&bed.registry.hosts(&caller).await);
    said.debug(&bed.registry.workers(&caller, None, workers).await.unwrap());
    said.debug(&bed.audit());
    let mut changes =
        bed.registry.events(&Caller::operator(), FollowFleet::default()).await.unwrap();
    for _ in 0..3 {
        said.debug(&changes.next().await.unwrap().unwrap());
    }
    // A file that cannot be opened.
    bed.store.remove_file("registry.db-wal").unwrap();
    bed.store.remove_file("registry.db-shm").unwrap();
    bed.store.write("registry.db", "no database, but long enough to be looked at").unwrap();
    let refused = skep_registry::Registrar::open(bed.store.try_clone().unwrap()).unwrap_err();
    said.error(&refused);

    for text in &said.all {
        for never in &said.never {
            assert!(!text.contains(never.as_str()), "{never} leaks in {text}");
        }
    }
    assert!(said.all.len() > 40);
}

#[tokio::test]
async fn only_the_operator_sees_the_details_of_a_bad_entry() {
    use skep_registry::Connect;

    for (endpoint, token_file) in [
        (ENDPOINT.to_owned(), None),
        (format!("ftp://{ENDPOINT}.example"), None),
        (format!("http://{ENDPOINT}.example"), None),
        (format!("https://a:b@{ENDPOINT}.example"), None),
        (format!("https://{ENDPOINT}.example"), Some(format!("/{FILE}/none").into())),
    ] {
        let bad = RemoteSpec { endpoint, token_file, ..spec("a") };
        assert!(Network::client(&bad).is_err() || bad.token_file.is_some());
        if let Err(error) = Network.connect(&bad).map(drop) {
            assert!(!format!("{error} {error:?}").contains("marker"));
        }
    }
    assert!(Network.connect(&spec("a")).is_ok());
}
