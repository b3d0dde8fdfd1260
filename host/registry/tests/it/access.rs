//! Authentication.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use skep_protocol::{AuditEntry, CreateToken, Error, FollowFleet, Role, Timestamp};
use skep_registry::Caller;

use crate::bed::{Bed, Net, id, now};

fn peer(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn admin() -> CreateToken {
    CreateToken { role: Role::Admin, name: None, runtimes: None, expires_at: None }
}

#[tokio::test]
async fn a_token_is_valid_until_any_process_revokes_it() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    assert_eq!(access.has_tokens(), Ok(false));
    let runtimes = Some(vec![id("a"), id("b")]);
    let new = CreateToken {
        role: Role::Viewer,
        name: Some("laptop".parse().unwrap()),
        runtimes: runtimes.clone(),
        expires_at: None,
    };
    let (secret, view) = access.create_token(new).unwrap();
    assert_eq!(access.has_tokens(), Ok(true));
    assert_eq!(access.tokens(), Ok(vec![view.clone()]));
    assert!(secret.expose().starts_with(&format!("skep_{}_", view.token_id)));

    let caller = access.bearer(peer(1), secret.expose()).await.unwrap();
    let expected = Caller {
        token_id: Some(view.token_id.clone()),
        session_id: None,
        role: Role::Viewer,
        runtimes: runtimes.map(|ids| ids.into_iter().collect()),
    };
    assert_eq!(caller, expected);
    let (session, other) = access.login(peer(1), secret.expose()).unwrap();
    assert!(other.session_id.is_some());
    assert_eq!(access.session(session.expose()).await, Ok(other.clone()));
    assert_eq!(Caller { session_id: None, ..other }, expected);

    // Another process, as far as the file is concerned.
    let revoked = bed.registrar().access().revoke(&view.token_id).unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(access.bearer(peer(1), secret.expose()).await, Err(Error::Unauthenticated));
    assert_eq!(access.session(session.expose()).await, Err(Error::Unauthenticated));
    assert!(access.login(peer(1), secret.expose()).is_err());
    assert_eq!(access.revoke(&view.token_id).unwrap(), revoked, "revoking twice changes nothing");
    let missing = "0123456789ab".parse().unwrap();
    assert_eq!(access.revoke(&missing), Err(Error::UnknownToken(missing)));
    assert_eq!(access.has_tokens(), Ok(true), "revoked tokens count");
}

#[tokio::test]
async fn tokens_and_sessions_expire() {
    static CLOCK: AtomicU64 = AtomicU64::new(1_000_000);
    fn clock() -> Timestamp {
        Timestamp(CLOCK.load(Ordering::SeqCst))
    }
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.now = clock);
    let access = bed.registry.access();
    let past = CreateToken { expires_at: Some(clock()), ..admin() };
    assert!(access.create_token(past).is_err());
    let short = CreateToken { expires_at: Some(Timestamp(1_060_000)), ..admin() };
    let (short, _) = access.create_token(short).unwrap();
    let (long, _) = access.create_token(admin()).unwrap();
    let (short_session, _) = access.login(peer(1), short.expose()).unwrap();
    let (long_session, _) = access.login(peer(1), long.expose()).unwrap();
    let (code, late) = (access.login_code().unwrap(), access.login_code().unwrap());
    assert!(access.login(peer(1), code.expose()).is_ok());

    CLOCK.store(1_060_000, Ordering::SeqCst);
    assert_eq!(access.bearer(peer(1), short.expose()).await, Err(Error::Unauthenticated));
    assert_eq!(access.session(short_session.expose()).await, Err(Error::Unauthenticated));
    assert!(access.bearer(peer(1), long.expose()).await.is_ok());
    assert!(access.session(long_session.expose()).await.is_ok());

    CLOCK.store(1_600_000, Ordering::SeqCst);
    assert!(access.login(peer(1), late.expose()).is_err(), "codes expire after ten minutes");
    CLOCK.store(1_000_000 + 12 * 3_600_000, Ordering::SeqCst);
    assert_eq!(access.session(long_session.expose()).await, Err(Error::Unauthenticated));
    assert!(access.bearer(peer(1), long.expose()).await.is_ok());
}

#[tokio::test]
async fn a_login_code_works_once() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let code = access.login_code().unwrap();
    assert!(access.bearer(peer(1), code.expose()).await.is_err(), "a code is not a token");
    let (session, caller) = access.login(peer(1), code.expose()).unwrap();
    assert_eq!(Caller { session_id: None, ..caller.clone() }, Caller::operator());
    assert!(access.login(peer(1), code.expose()).is_err());
    assert!(access.bearer(peer(1), session.expose()).await.is_err(), "a session is not a token");
    assert_eq!(access.session(session.expose()).await, Ok(caller));
    access.logout(session.expose()).unwrap();
    assert_eq!(access.session(session.expose()).await, Err(Error::Unauthenticated));
    access.logout(session.expose()).unwrap();
}

#[tokio::test]
async fn a_process_token_is_only_in_memory() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let secret = access.process_token(Role::Operator).unwrap();
    let caller = access.bearer(peer(1), secret.expose()).await.unwrap();
    assert_eq!(caller, Caller { role: Role::Operator, ..Caller::operator() });
    assert_eq!(access.tokens(), Ok(Vec::new()));
    assert!(bed.registrar().access().bearer(peer(1), secret.expose()).await.is_err());
    let mut other = secret.expose().to_owned();
    other.pop();
    assert!(access.bearer(peer(1), &other).await.is_err());
    // A session would outlive the process.
    assert_eq!(access.login(peer(1), secret.expose()).unwrap_err(), Error::Unauthenticated);
    assert_eq!(bed.registry.sessions(&Caller::operator()), Ok(Vec::new()));
}

#[tokio::test]
async fn guessing_is_throttled_without_locking_out_others() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let (known, _) = access.create_token(admin()).unwrap();
    let (new, _) = access.create_token(admin()).unwrap();
    access.bearer(peer(1), known.expose()).await.unwrap();
    let wrong = format!("{}x", &known.expose()[..known.expose().len() - 1]);
    for guess in ["", "x", "skep_", &wrong, "session_0_x", "code_0_x"].iter().cycle().take(10) {
        assert_eq!(access.bearer(peer(1), guess).await, Err(Error::Unauthenticated));
    }
    let stopped = access.bearer(peer(1), &wrong).await.unwrap_err();
    let Error::TooManyAttempts { retry_after } = stopped else { panic!("{stopped:?}") };
    assert!(retry_after > Duration::from_secs(50) && retry_after <= Duration::from_secs(60));
    assert!(matches!(access.login(peer(1), &wrong), Err(Error::TooManyAttempts { .. })));
    assert!(matches!(
        access.bearer(peer(1), new.expose()).await,
        Err(Error::TooManyAttempts { .. })
    ));
    assert!(access.bearer(peer(1), known.expose()).await.is_ok());
    assert!(access.bearer(peer(2), new.expose()).await.is_ok());
}

#[tokio::test]
async fn stored_digests_do_not_grant_access() {
    let bed = Bed::new(Net::default(), Vec::new());
    let (secret, _) = bed.registry.access().create_token(admin()).unwrap();
    // Skip the kind and the id; the random part may contain these letters itself.
    let random = secret.expose().splitn(3, '_').nth(2).unwrap();
    let session = bed.registry.access().login(peer(1), secret.expose()).unwrap().0;
    for entry in bed.store.entries().unwrap() {
        let bytes = bed.store.read(entry.unwrap().file_name()).unwrap();
        for text in [secret.expose(), &random[..20], session.expose()] {
            assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()));
        }
    }
}

#[tokio::test]
async fn logins_are_audited() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let (secret, view) = access.create_token(admin()).unwrap();
    let (session, _) = access.login(peer(1), secret.expose()).unwrap();
    access.login(peer(1), "skep_0_x").unwrap_err();
    access.logout(session.expose()).unwrap();
    access.revoke(&view.token_id).unwrap();
    let token = Some(view.token_id);
    let said: Vec<_> = bed
        .audit()
        .into_iter()
        .rev()
        .map(|entry| (entry.action, entry.token_id, entry.outcome))
        .collect();
    let said: Vec<_> = said.iter().map(|(a, t, o)| (a.as_str(), t.clone(), o.as_str())).collect();
    assert_eq!(
        said,
        [
            ("token.create", None, "ok"),
            ("login", token.clone(), "ok"),
            ("login", None, "unauthenticated"),
            ("logout", token, "ok"),
            ("token.revoke", None, "ok"),
        ]
    );
    assert!(bed.audit().iter().all(|entry| entry.at <= now()));
}

#[tokio::test]
async fn a_session_survives_a_restart_of_the_host() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let (token, _) = access.create_token(admin()).unwrap();
    let (by_token, _) = access.login(peer(1), token.expose()).unwrap();
    let code = access.login_code().unwrap();
    let (by_link, _) = access.login(peer(1), code.expose()).unwrap();
    // Another process opens the same file, as the next start of the host does.
    let next = bed.registrar();
    for session in [&by_token, &by_link] {
        let caller = next.access().session(session.expose()).await.unwrap();
        assert_eq!(access.session(session.expose()).await, Ok(caller));
    }
    let mut wrong = by_link.expose().to_owned();
    wrong.replace_range(wrong.len() - 1.., "~");
    assert_eq!(next.access().session(&wrong).await, Err(Error::Unauthenticated));
    next.access().logout(by_link.expose()).unwrap();
    assert_eq!(access.session(by_link.expose()).await, Err(Error::Unauthenticated));
    assert!(access.session(by_token.expose()).await.is_ok());
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owners_and_admins() {
    let bed = Bed::new(Net::default(), Vec::new());
    let (access, registry) = (bed.registry.access(), &bed.registry);
    let login = |role, runtimes: Option<&[&str]>| {
        let runtimes = runtimes.map(|ids| ids.iter().map(|text| id(text)).collect());
        let new = CreateToken { role, runtimes, ..admin() };
        let token = access.create_token(new).unwrap().0;
        let (_, caller) = access.login(peer(1), token.expose()).unwrap();
        (caller, token)
    };
    let (all, _) = login(Role::Admin, None);
    let (limited, _) = login(Role::Admin, Some(&["home"]));
    let (viewer, token) = login(Role::Viewer, Some(&["home"]));
    let again = access.login(peer(1), token.expose()).unwrap().1;
    let (other, _) = login(Role::Operator, None);
    let ids = |caller: &Caller| {
        let sessions = registry.sessions(caller).unwrap().into_iter();
        sessions.map(|session| session.session_id).collect::<BTreeSet<_>>()
    };
    let of = |callers: &[&Caller]| {
        callers.iter().map(|caller| caller.session_id.clone().unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&all), of(&[&all, &limited, &viewer, &again, &other]));
    assert_eq!(ids(&limited), of(&[&limited, &viewer, &again]), "not those of more runtimes");
    assert_eq!(ids(&viewer), of(&[&viewer, &again]), "only those of the same token");
    let current = registry.sessions(&viewer).unwrap();
    let current: Vec<_> = current.iter().filter(|session| session.current).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(Some(&current[0].session_id), viewer.session_id.as_ref());

    let end = |by: &Caller, of: &Caller| registry.end_session(by, &of.session_id.clone().unwrap());
    let unknown = Error::UnknownSession(all.session_id.clone().unwrap());
    assert_eq!(end(&viewer, &all), Err(unknown.clone()));
    assert_eq!(end(&limited, &all), Err(unknown));
    end(&viewer, &again).unwrap();
    end(&all, &viewer).unwrap();
    assert_eq!(ids(&all), of(&[&all, &limited, &other]));
    assert!(matches!(end(&all, &viewer), Err(Error::UnknownSession(_))));
    let ended: Vec<_> =
        bed.audit().into_iter().filter(|entry| entry.action == "session.end").collect();
    let named = |entry: &AuditEntry| entry.before.clone().unwrap().session_id;
    assert_eq!(ended.iter().map(named).collect::<Vec<_>>(), [viewer.session_id, again.session_id]);
    assert_eq!(ended[0].token_id, all.token_id);
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let code = access.login_code().unwrap();
    let (session, caller) = access.login(peer(1), code.expose()).unwrap();
    let mut changes = bed.registry.events(&caller, FollowFleet::default()).await.unwrap();
    access.logout(session.expose()).unwrap();
    let last = async {
        loop {
            if let Err(error) = changes.next().await.expect("an error ends the stream") {
                return error;
            }
        }
    };
    let last = tokio::time::timeout(Duration::from_secs(4), last).await;
    assert_eq!(last.unwrap(), Error::Unauthenticated);
}

#[tokio::test]
async fn an_admin_of_some_runtimes_manages_only_their_tokens() {
    let bed = Bed::new(Net::default(), Vec::new());
    let registry = &bed.registry;
    let limited = bed.caller(Role::Admin, Some(&["home"]));
    let everywhere = bed.caller(Role::Viewer, None);
    let new = |runtimes: Option<&[&str]>| CreateToken {
        role: Role::Admin,
        runtimes: runtimes.map(|ids| ids.iter().map(|text| id(text)).collect()),
        ..admin()
    };
    for wider in [None, Some(&["far"][..]), Some(&["home", "far"])] {
        assert!(
            matches!(registry.create_token(&limited, new(wider)), Err(Error::Forbidden(_))),
            "{wider:?}"
        );
    }
    let made = registry.create_token(&limited, new(Some(&["home"]))).unwrap();
    assert!(!format!("{made:?}").contains(&made.token));
    let seen: Vec<_> = registry.tokens(&limited).unwrap();
    let seen: BTreeSet<_> = seen.into_iter().map(|token| token.token_id).collect();
    let expected = [limited.token_id.clone().unwrap(), made.view.token_id.clone()];
    assert_eq!(seen, expected.into_iter().collect());
    let other = everywhere.token_id.clone().unwrap();
    let unknown = Err(Error::UnknownToken(other.clone()));
    assert_eq!(registry.revoke_token(&limited, &other), unknown);
    registry.revoke_token(&limited, &made.view.token_id).unwrap();
    assert!(bed.registry.access().bearer(peer(1), &made.token).await.is_err());
    for role in [Role::Viewer, Role::Operator] {
        let caller = bed.caller(role, None);
        assert!(matches!(registry.tokens(&caller), Err(Error::Forbidden(_))));
        assert!(matches!(registry.create_token(&caller, admin()), Err(Error::Forbidden(_))));
        assert!(matches!(registry.revoke_token(&caller, &other), Err(Error::Forbidden(_))));
    }
    let made: Vec<_> = bed.audit().into_iter().filter(|entry| entry.after.is_some()).collect();
    let by_limited = made.iter().find(|entry| entry.token_id == limited.token_id).unwrap();
    let token = by_limited.after.clone().unwrap().token.unwrap();
    assert_eq!((token.role, token.runtimes), (Role::Admin, Some(vec![id("home")])));
}
