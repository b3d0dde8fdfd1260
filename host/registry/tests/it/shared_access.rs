//! Tokens, sessions and the audit of hosts that share a log.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use skep_protocol::{AuditEntry, CreateToken, Error, FollowFleet, ListAudit, Role, TokenView};
use skep_registry::{Caller, LogItem, LogItems, Registry, Secret, SharedAccess, SharedLog};
use tokio::sync::watch;

use crate::bed::{Bed, Net};

/// The bound of a change's effect at other hosts.
const BOUND: Duration = Duration::from_secs(2);

fn peer() -> IpAddr {
    [192, 0, 2, 1].into()
}

fn viewer() -> CreateToken {
    CreateToken { role: Role::Viewer, name: None, runtimes: None, expires_at: None }
}

/// A log in memory.
#[derive(Clone, Default)]
struct MemoryLog {
    items: Arc<watch::Sender<Vec<LogItem>>>,
    /// True if the servers do not answer.
    is_down: Arc<AtomicBool>,
    identity: Arc<Mutex<String>>,
}

impl MemoryLog {
    async fn put(&self, entry: Option<Vec<u8>>) -> Result<u64, Error> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(busy());
        }
        let mut number = 0;
        self.items.send_modify(|items| {
            // Numbers may be missing.
            number = items.last().map_or(1, |last| last.number + 2);
            items.push(LogItem { number, entry });
        });
        Ok(number)
    }

    /// Returns one host's way to the log.
    fn way(&self) -> Way {
        Way { log: self.clone(), is_cut: watch::Sender::new(false) }
    }
}

fn busy() -> Error {
    Error::Busy { retry_after: Duration::from_secs(1) }
}

/// One host's way to the log.
#[derive(Clone)]
struct Way {
    log: MemoryLog,
    /// True if nothing comes from the log any more, though it takes what is sent.
    is_cut: watch::Sender<bool>,
}

#[async_trait]
impl SharedLog for Way {
    async fn append(&self, entry: Vec<u8>) -> Result<u64, Error> {
        self.log.put(Some(entry)).await
    }

    async fn mark(&self) -> Result<u64, Error> {
        self.log.put(None).await
    }

    async fn identity(&self) -> Result<String, Error> {
        match self.log.is_down.load(Ordering::SeqCst) {
            true => Err(busy()),
            false => Ok(self.log.identity.lock().unwrap().clone()),
        }
    }

    fn follow(&self, after: u64) -> LogItems {
        let (items, is_cut) = (self.log.items.subscribe(), self.is_cut.subscribe());
        let next =
            stream::unfold((after, items, is_cut), |(after, mut items, mut is_cut)| async move {
                loop {
                    let _ = is_cut.wait_for(|is_cut| !is_cut).await;
                    let next =
                        items.borrow_and_update().iter().find(|it| it.number > after).cloned();
                    if let Some(item) = next {
                        return Some((Ok(item.clone()), (item.number, items, is_cut)));
                    }
                    items.changed().await.ok()?;
                }
            });
        next.boxed()
    }
}

fn host(way: &Way) -> Bed {
    Bed::with(Net::default(), Vec::new(), |parts| parts.shared = Some(shared(way)))
}

fn shared(way: &Way) -> SharedAccess {
    SharedAccess { fleet: "test".to_owned(), log: Arc::new(way.clone()) }
}

/// Runs what waits for the log.
fn wait<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

fn create(at: &Registry) -> (Secret, TokenView) {
    wait(|| at.access().create_token(viewer())).unwrap()
}

/// Returns what the host's audit says, newest first.
fn audit(of: &Bed) -> Vec<AuditEntry> {
    wait(|| of.page_of_audit(ListAudit::default())).items
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_host_changes_counts_at_the_others() {
    let log = MemoryLog::default();
    let (one, other) = (host(&log.way()), host(&log.way()));
    let (one, other) = (&one.registry, &other.registry);
    let (secret, view) = create(one);
    let caller = other.access().bearer(peer(), secret.expose()).await.unwrap();
    assert_eq!(caller.token_id.as_ref(), Some(&view.token_id));
    assert_eq!(wait(|| other.access().tokens()).unwrap(), wait(|| one.access().tokens()).unwrap());

    let (session, _) = wait(|| other.access().login(peer(), secret.expose())).unwrap();
    let caller = one.access().session(session.expose()).await.unwrap();
    assert_eq!(caller.token_id.as_ref(), Some(&view.token_id));
    let id = caller.session_id.clone().unwrap();
    wait(|| one.end_session(&Caller::operator(), &id)).unwrap();
    other.access().catch_up().await.unwrap();
    assert_eq!(other.access().session(session.expose()).await, Err(Error::Unauthenticated));

    let (session, _) = wait(|| one.access().login(peer(), secret.expose())).unwrap();
    assert!(other.access().session(session.expose()).await.is_ok());
    wait(|| other.access().revoke(&view.token_id)).unwrap();
    one.access().catch_up().await.unwrap();
    assert_eq!(one.access().session(session.expose()).await, Err(Error::Unauthenticated));
    assert_eq!(one.access().bearer(peer(), secret.expose()).await, Err(Error::Unauthenticated));
    // To revoke it again changes nothing.
    let before = wait(|| one.access().revoke(&view.token_id)).unwrap();
    assert_eq!(before, wait(|| other.access().tokens()).unwrap()[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_refuses_rather_than_accept_a_revoked_token() {
    let log = MemoryLog::default();
    let way = log.way();
    let (one, other) = (host(&log.way()), host(&way));
    let (secret, view) = create(&one.registry);
    let access = other.registry.access();
    access.bearer(peer(), secret.expose()).await.unwrap();
    let (session, _) = wait(|| access.login(peer(), secret.expose())).unwrap();
    let mut events = {
        let caller = access.session(session.expose()).await.unwrap();
        other.registry.events(&caller, FollowFleet::default()).await.unwrap()
    };

    way.is_cut.send_replace(true);
    wait(|| one.registry.access().revoke(&view.token_id)).unwrap();
    let revoked = Instant::now();
    let ending = tokio::spawn(async move {
        loop {
            match events.next().await {
                Some(Ok(_)) => {}
                last => return (last, Instant::now()),
            }
        }
    });
    loop {
        let asked = Instant::now();
        match access.bearer(peer(), secret.expose()).await {
            Ok(_) => assert!(asked - revoked < BOUND, "accepted {:?} later", asked - revoked),
            Err(error) => {
                assert!(matches!(error, Error::Busy { .. }), "{error:?}");
                break;
            }
        }
    }
    assert!(matches!(access.session(session.expose()).await, Err(Error::Busy { .. })));
    let (last, ended) = ending.await.unwrap();
    assert!(matches!(last, Some(Err(Error::Busy { .. }))), "{last:?}");
    assert!(ended - revoked < 2 * BOUND, "the stream ended {:?} later", ended - revoked);
    // The operator on the machine itself needs no fleet.
    let own = access.process_token(Role::Admin).unwrap();
    assert!(access.bearer(peer(), own.expose()).await.is_ok());

    way.is_cut.send_replace(false);
    assert_eq!(access.bearer(peer(), secret.expose()).await, Err(Error::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_another_host_revokes_its_token() {
    let log = MemoryLog::default();
    let (one, other) = (host(&log.way()), host(&log.way()));
    let (secret, view) = create(&one.registry);
    let caller = other.registry.access().bearer(peer(), secret.expose()).await.unwrap();
    let mut events = other.registry.events(&caller, FollowFleet::default()).await.unwrap();
    wait(|| one.registry.access().revoke(&view.token_id)).unwrap();
    let ended = async { while let Some(Ok(_)) = events.next().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_servers_nothing_changes_and_nothing_is_lost() {
    let log = MemoryLog::default();
    let bed = host(&log.way());
    let access = bed.registry.access();
    let (secret, _) = create(&bed.registry);
    log.is_down.store(true, Ordering::SeqCst);
    let refused = wait(|| access.create_token(viewer())).unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    let refused = wait(|| access.login(peer(), secret.expose())).unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    // A change that cannot be recorded is not answered as made.
    let worker = bed.home.worker().await;
    let refused = bed.at("home").stop(worker).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    log.is_down.store(false, Ordering::SeqCst);
    assert_eq!(wait(|| access.tokens()).unwrap().len(), 1);
    assert!(access.bearer(peer(), secret.expose()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_the_same_at_all_hosts_and_after_a_restart() {
    let log = MemoryLog::default();
    let (one, other) = (host(&log.way()), host(&log.way()));
    let (secret, view) = create(&one.registry);
    wait(|| other.registry.access().login(peer(), secret.expose())).unwrap();
    wait(|| other.registry.access().login(peer(), "skep_0123456789ab_x")).unwrap_err();
    wait(|| one.registry.access().revoke(&view.token_id)).unwrap();
    // Twice is once.
    wait(|| other.registry.access().revoke(&view.token_id)).unwrap();
    let said = audit(&one);
    let actions: Vec<_> = said.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["token.create", "login", "login", "token.revoke"]);
    assert_eq!(audit(&other), said);

    let store = one.store.try_clone().unwrap();
    one.registry.shutdown().await;
    let again = Bed::with(Net::default(), Vec::new(), |parts| {
        parts.dir = store;
        parts.shared = Some(shared(&log.way()));
    });
    assert_eq!(audit(&again), said);
    assert!(skep_registry::follows_fleet(&one.store).unwrap());
    // A host that comes later reads all.
    assert_eq!(audit(&host(&log.way())), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_not_mix_two_logs_and_does_not_skip_what_it_does_not_know() {
    let log = MemoryLog::default();
    let bed = host(&log.way());
    let (secret, _) = create(&bed.registry);
    let store = bed.store.try_clone().unwrap();
    let foreign = MemoryLog::default();
    "another".clone_into(&mut foreign.identity.lock().unwrap());
    let mixed = Bed::with(Net::default(), Vec::new(), |parts| {
        parts.dir = store;
        parts.shared = Some(shared(&foreign.way()));
    });
    let refused = mixed.registry.access().bearer(peer(), secret.expose()).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");

    log.put(Some(b"{\"from\": \"later\"}".to_vec())).await.unwrap();
    let refused = bed.registry.access().catch_up().await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_is_not_followed() {
    let log = MemoryLog::default();
    let bed = host(&log.way());
    let (secret, view) = create(&bed.registry);
    let access = bed.registry.access();
    wait(|| access.revoke(&view.token_id)).unwrap();
    // The revocation is lost, and other items take its number.
    log.items.send_modify(|items| items.truncate(1));
    // Marks make it as long as it was.
    for _ in 0..3 {
        let refused = access.catch_up().await.unwrap_err();
        assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    }
    let refused = access.bearer(peer(), secret.expose()).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. } | Error::Unauthenticated), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_revoked_meanwhile_creates_no_other() {
    let log = MemoryLog::default();
    let (way, bed) = (log.way(), host(&log.way()));
    let other = host(&way);
    let new = CreateToken { role: Role::Admin, ..viewer() };
    let (secret, view) = wait(|| bed.registry.access().create_token(new)).unwrap();
    let caller = other.registry.access().bearer(peer(), secret.expose()).await.unwrap();
    // This host does not know yet that the caller's token is revoked.
    way.is_cut.send_replace(true);
    wait(|| bed.registry.access().revoke(&view.token_id)).unwrap();
    let registry = other.registry.clone();
    let creating = tokio::task::spawn_blocking(move || registry.create_token(&caller, viewer()));
    way.is_cut.send_replace(false);
    assert_eq!(creating.await.unwrap().err(), Some(Error::Unauthenticated));
    assert_eq!(wait(|| bed.registry.access().tokens()).unwrap().len(), 1);
    let last = &audit(&bed)[0];
    assert_eq!((last.action.as_str(), last.outcome.as_str()), ("token.create", "unauthenticated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_strangers_share_few_marks() {
    let log = MemoryLog::default();
    let bed = host(&log.way());
    let (secret, _) = create(&bed.registry);
    bed.registry.access().bearer(peer(), secret.expose()).await.unwrap();
    let began = Instant::now();
    let before = log.items.borrow().len();
    let strangers = (0..200).map(|n| {
        let (access, cookie) = (bed.registry.access(), format!("session_{n:012x}_x"));
        async move { access.session(&cookie).await.unwrap_err() }
    });
    let all = futures_util::future::join_all(strangers).await;
    assert!(all.iter().all(|error| *error == Error::Unauthenticated), "{all:?}");
    let marks = (log.items.borrow().len() - before) as u128;
    assert!(marks <= 3 + began.elapsed().as_millis() / 100, "{marks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_only_marks_is_followed_without_a_gap() {
    let log = MemoryLog::default();
    let (one, other) = (host(&log.way()), host(&log.way()));
    let (secret, view) = create(&one.registry);
    let access = one.registry.access();
    for _ in 0..5 {
        access.catch_up().await.unwrap();
    }
    other.registry.access().catch_up().await.unwrap();
    // The last marks are lost, and a revocation takes the number of one.
    let is_entry = |item: &LogItem| item.entry.is_some();
    log.items.send_modify(|items| {
        let last = items.iter().rposition(is_entry).unwrap();
        items.truncate(last + 1);
    });
    let until = Instant::now() + Duration::from_secs(20);
    while wait(|| other.registry.access().revoke(&view.token_id)).is_err() {
        assert!(Instant::now() < until, "the revocation is not made");
    }
    loop {
        match access.bearer(peer(), secret.expose()).await {
            Err(Error::Unauthenticated) => break,
            Ok(_) => assert!(Instant::now() < until, "the revocation was skipped"),
            Err(error) => assert!(matches!(error, Error::Busy { .. }), "{error:?}"),
        }
        assert!(Instant::now() < until, "the host does not follow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_keeps_its_stream() {
    let log = MemoryLog::default();
    let bed = host(&log.way());
    let (secret, _) = create(&bed.registry);
    let caller = bed.registry.access().bearer(peer(), secret.expose()).await.unwrap();
    let mut events = bed.registry.events(&caller, FollowFleet::default()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    // The pause itself is what is tested: it is longer than a mark counts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let next = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
    assert!(!matches!(next, Ok(Some(Err(_)) | None)), "{next:?}");
}
