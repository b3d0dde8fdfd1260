//! Cursors of a registry's lists and streams, as sent by callers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::{FutureExt, StreamExt};
use skep_protocol::{
    Error, FollowChanges, FollowFleet, Invalid, ListAudit, ListWorkers, Timestamp,
};
use skep_registry::{Caller, Network, Registry, RegistryParts};
use tokio::runtime::Runtime;

struct Open {
    runtime: Runtime,
    registry: Registry,
    /// Contains the registry's files.
    _folder: tempfile::TempDir,
}

thread_local! {
    static OPEN: Open = open();
}

fn open() -> Open {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let dir =
        Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("the directory exists");
    dir.create_dir("local").expect("a new directory");
    let local = dir.open_dir("local").expect("the directory exists");
    let opened = runtime.block_on(async {
        Registry::open(RegistryParts {
            dir,
            embedded: None,
            remotes: Vec::new(),
            local: Some(local),
            sites: Vec::new(),
            connect: Arc::new(Network),
            discovery: None,
            now: || Timestamp(1_700_000_000_000),
            deadline: Duration::from_secs(2),
            ceilings: None,
            policy: None,
            audit: None,
            shared: None,
        })
    });
    Open { runtime, registry: opened.expect("a registry opens"), _folder: folder }
}

pub(crate) fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    // Raw, or encoded like ours, so that the decoder is reached.
    let cursor = match how & 1 {
        0 => BASE64_URL_SAFE_NO_PAD.encode(rest),
        _ => String::from_utf8_lossy(rest).into_owned(),
    };
    OPEN.with(|open| open.runtime.block_on(ask(&open.registry, cursor)));
}

async fn ask(registry: &Registry, cursor: String) {
    let caller = Caller::operator();
    let wrong = |error: Error| assert_eq!(error, Error::InvalidRequest(Invalid::Cursor));
    let query = ListWorkers { limit: 2, cursor: Some(cursor.clone()), ..ListWorkers::default() };
    match registry.workers(&caller, None, query).await {
        Ok(list) => assert!(list.next_cursor.is_none(), "there are no workers"),
        Err(error) => wrong(error),
    }
    let audit = ListAudit { cursor: Some(cursor.clone()), ..ListAudit::default() };
    match registry.audit(&caller, &audit) {
        Ok(page) => assert!(page.items.is_empty()),
        // A number too large for the database is past all rows or invalid.
        Err(error) => wrong(error),
    }
    let changes = FollowChanges { after: Some(cursor), from_now: false };
    match registry.events(&caller, FollowFleet { changes, ..FollowFleet::default() }).await {
        Ok(mut changes) => drop(changes.next().now_or_never()),
        Err(error) => wrong(error),
    }
}
