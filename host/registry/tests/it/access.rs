//! Authentication.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skep_protocol::{Error, Role, Timestamp};
use skep_registry::{Caller, NewToken};

use crate::bed::{Bed, Net, id, now};

fn peer(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn admin() -> NewToken {
    NewToken { role: Role::Admin, runtimes: None, expires_at: None }
}

#[tokio::test]
async fn a_token_is_valid_until_any_process_revokes_it() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    assert_eq!(access.has_tokens(), Ok(false));
    let runtimes = Some(vec![id("a"), id("b")]);
    let new = NewToken { role: Role::Viewer, runtimes: runtimes.clone(), expires_at: None };
    let (secret, view) = access.create_token(new).unwrap();
    assert_eq!(access.has_tokens(), Ok(true));
    assert_eq!(access.tokens(), Ok(vec![view.clone()]));
    assert!(secret.expose().starts_with(&format!("skep_{}_", view.token_id)));

    let caller = access.bearer(peer(1), secret.expose()).unwrap();
    let expected = Caller {
        token_id: Some(view.token_id.clone()),
        role: Role::Viewer,
        runtimes: runtimes.map(|ids| ids.into_iter().collect()),
    };
    assert_eq!(caller, expected);
    let (session, other) = access.login(peer(1), secret.expose()).unwrap();
    assert_eq!(other, expected);
    assert_eq!(access.session(session.expose()), Ok(expected));

    // Another process, as far as the file is concerned.
    let revoked = bed.registrar().access().revoke(&view.token_id).unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(access.bearer(peer(1), secret.expose()), Err(Error::Unauthenticated));
    assert_eq!(access.session(session.expose()), Err(Error::Unauthenticated));
    assert!(access.login(peer(1), secret.expose()).is_err());
    assert_eq!(access.revoke(&view.token_id).unwrap(), revoked, "revoking twice changes nothing");
    assert!(access.revoke(&"0123456789ab".parse().unwrap()).is_err());
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
    let past = NewToken { expires_at: Some(clock()), ..admin() };
    assert!(access.create_token(past).is_err());
    let short = NewToken { expires_at: Some(Timestamp(1_060_000)), ..admin() };
    let (short, _) = access.create_token(short).unwrap();
    let (long, _) = access.create_token(admin()).unwrap();
    let (short_session, _) = access.login(peer(1), short.expose()).unwrap();
    let (long_session, _) = access.login(peer(1), long.expose()).unwrap();
    let (code, late) = (access.login_code().unwrap(), access.login_code().unwrap());
    assert!(access.login(peer(1), code.expose()).is_ok());

    CLOCK.store(1_060_000, Ordering::SeqCst);
    assert_eq!(access.bearer(peer(1), short.expose()), Err(Error::Unauthenticated));
    assert_eq!(access.session(short_session.expose()), Err(Error::Unauthenticated));
    assert!(access.bearer(peer(1), long.expose()).is_ok());
    assert!(access.session(long_session.expose()).is_ok());

    CLOCK.store(1_600_000, Ordering::SeqCst);
    assert!(access.login(peer(1), late.expose()).is_err(), "codes expire after ten minutes");
    CLOCK.store(1_000_000 + 12 * 3_600_000, Ordering::SeqCst);
    assert_eq!(access.session(long_session.expose()), Err(Error::Unauthenticated));
    assert!(access.bearer(peer(1), long.expose()).is_ok());
}

#[tokio::test]
async fn a_login_code_works_once() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let code = access.login_code().unwrap();
    assert!(access.bearer(peer(1), code.expose()).is_err(), "a code is not a token");
    let (session, caller) = access.login(peer(1), code.expose()).unwrap();
    assert_eq!(caller, Caller::operator());
    assert!(access.login(peer(1), code.expose()).is_err());
    assert!(access.bearer(peer(1), session.expose()).is_err(), "a session is not a token");
    assert_eq!(access.session(session.expose()), Ok(Caller::operator()));
    access.logout(session.expose()).unwrap();
    assert_eq!(access.session(session.expose()), Err(Error::Unauthenticated));
    access.logout(session.expose()).unwrap();
}

#[tokio::test]
async fn a_process_token_is_only_in_memory() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let secret = access.process_token(Role::Operator).unwrap();
    let caller = access.bearer(peer(1), secret.expose()).unwrap();
    assert_eq!(caller, Caller { role: Role::Operator, ..Caller::operator() });
    assert_eq!(access.tokens(), Ok(Vec::new()));
    assert!(bed.registrar().access().bearer(peer(1), secret.expose()).is_err());
    let mut other = secret.expose().to_owned();
    other.pop();
    assert!(access.bearer(peer(1), &other).is_err());
}

#[tokio::test]
async fn guessing_is_throttled_without_locking_out_others() {
    let bed = Bed::new(Net::default(), Vec::new());
    let access = bed.registry.access();
    let (known, _) = access.create_token(admin()).unwrap();
    let (new, _) = access.create_token(admin()).unwrap();
    access.bearer(peer(1), known.expose()).unwrap();
    let wrong = format!("{}x", &known.expose()[..known.expose().len() - 1]);
    for guess in ["", "x", "skep_", &wrong, "session_0_x", "code_0_x"].iter().cycle().take(10) {
        assert_eq!(access.bearer(peer(1), guess), Err(Error::Unauthenticated));
    }
    let stopped = access.bearer(peer(1), &wrong).unwrap_err();
    let Error::Busy { retry_after } = stopped else { panic!("{stopped:?}") };
    assert!(retry_after > Duration::from_secs(50) && retry_after <= Duration::from_secs(60));
    assert!(matches!(access.login(peer(1), &wrong), Err(Error::Busy { .. })));
    assert!(matches!(access.bearer(peer(1), new.expose()), Err(Error::Busy { .. })));
    assert!(access.bearer(peer(1), known.expose()).is_ok());
    assert!(access.bearer(peer(2), new.expose()).is_ok());
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
