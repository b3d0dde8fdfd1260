//! Authentication: tokens, browser sessions and single-use login codes.
//!
//! | secret | prefix | stored | expires |
//! | --- | --- | --- | --- |
//! | token | `skep_` | in a file, as a digest | when it expires or is revoked |
//! | process token | `skep_` | in memory, as a digest | with the process |
//! | session | `session_` | in a file, as a digest | after 12 hours, with its token, or when it is ended |
//! | login code | `code_` | in memory, as a digest | at its first use, or after 10 minutes |
//!
//! The file is `registry.db`, or that of the fleet to which the host belongs. Each check reads the token
//! from it, so a token that another process revokes is refused at once, and within 2 s if a process of
//! another host does; and so are the sessions started with it. Sessions outlive the process, so only a
//! token of the file or a login code starts one.

mod attempts;
mod audited;
mod change;
mod process_secrets;
mod session;
mod token;
mod validity;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use skep_protocol::{
    AuditedState, CreateToken, Error, Invalid, Role, SessionId, SessionView, Timestamp, TokenId,
    TokenView,
};
use tokio::sync::watch;

use self::attempts::Attempts;
use self::audited::{Audited, ChangedBy};
pub(crate) use self::change::AccessChange;
use self::process_secrets::ProcessSecrets;
pub(crate) use self::session::SessionRow;
pub(crate) use self::token::TokenRow;
pub(crate) use self::validity::is_valid;
use crate::audit::{self, AuditRecord};
use crate::database::RegistryDatabase;
use crate::replica::Replica;
use crate::secret::{Minted, SecretDigest, SecretKind, id_in, mint};
use crate::{Audit, Caller, RegistryError, Secret, SharedLog};
use skep_protocol::Action;

/// Maximum lifetime of a session.
const SESSION_MS: u64 = 12 * 60 * 60 * 1000;
/// Lifetime of a login code.
const CODE_MS: u64 = 10 * 60 * 1000;

/// Interval at which streams look whether their callers' secrets have expired.
const LOOKED: Duration = Duration::from_secs(5);

/// The same in a fleet, where they also look whether this host is still told of changes.
const FOLLOWED: Duration = Duration::from_millis(500);

/// Tokens, sessions and login codes. Reading is one indexed row. Creating, revoking, logging in and
/// logging out wait for the disk or the fleet, so async callers use a blocking thread.
#[derive(Clone)]
pub struct Access(Arc<AccessState>);

struct AccessState {
    database: Arc<RegistryDatabase>,
    /// Follows the fleet, if the host belongs to one.
    replica: Option<Arc<Replica>>,
    now: fn() -> Timestamp,
    secrets: Mutex<ProcessSecrets>,
    attempts: Mutex<Attempts>,
    /// Notified whenever a token may have been revoked, or a session ended.
    ended: watch::Sender<()>,
}

/// The result of looking up a secret.
enum SecretLookup {
    /// The secret is valid, until this time if given.
    Valid(Caller, Option<Timestamp>),
    /// The secret was valid once: it has expired or was revoked.
    Ended,
    /// The secret is unknown.
    Unknown,
}

impl SecretLookup {
    /// Returns true if it is a secret of this process, which is in no file.
    fn is_of_process(&self) -> bool {
        matches!(self, Self::Valid(caller, _) if caller.token_id.is_none())
    }

    /// Returns true if another host of the fleet may have made or revoked the secret.
    fn may_be_shared(&self, secret: &str) -> bool {
        !self.is_of_process() && id_in::<TokenId>(SecretKind::Token, secret).is_some()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// Opens access by the secrets of a file that only this machine's processes change.
    pub(crate) fn new(database: Arc<RegistryDatabase>, now: fn() -> Timestamp) -> Self {
        Self::of(database, None, watch::Sender::new(()), now)
    }

    /// Opens access by the secrets of a fleet, whose log the file follows.
    pub(crate) fn shared(
        database: Arc<RegistryDatabase>,
        log: Arc<dyn SharedLog>,
        now: fn() -> Timestamp,
    ) -> Result<Self, RegistryError> {
        let ended = watch::Sender::new(());
        let replica = Replica::start(log, Arc::clone(&database), ended.clone())?;
        Ok(Self::of(database, Some(Arc::new(replica)), ended, now))
    }

    fn of(
        database: Arc<RegistryDatabase>,
        replica: Option<Arc<Replica>>,
        ended: watch::Sender<()>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self(Arc::new(AccessState {
            database,
            replica,
            now,
            secrets: Mutex::default(),
            attempts: Mutex::default(),
            ended,
        }))
    }

    /// Returns the fleet's audit, if the host belongs to one.
    pub(crate) fn shared_audit(&self) -> Option<Arc<dyn Audit>> {
        let replica: Arc<dyn Audit> = Arc::clone(self.0.replica.as_ref()?) as _;
        Some(replica)
    }

    /// Returns the file of the tokens, sessions and audit.
    pub(crate) fn database(&self) -> &RegistryDatabase {
        &self.0.database
    }

    /// Waits until this process knows all that other hosts of the fleet changed before this call.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet does not answer.
    pub async fn catch_up(&self) -> Result<(), Error> {
        match &self.0.replica {
            Some(replica) => replica.catch_up().await,
            None => Ok(()),
        }
    }

    /// [`Self::catch_up`], for a blocking thread.
    pub(crate) fn catch_up_blocking(&self) -> Result<(), Error> {
        self.0.replica.as_ref().map_or(Ok(()), |replica| replica.catch_up_blocking())
    }

    /// Returns true if the tokens, sessions and audit are those of a fleet.
    pub fn is_shared(&self) -> bool {
        self.0.replica.is_some()
    }

    /// Creates a token. Its text is only in the return value.
    ///
    /// # Errors
    /// [`Invalid::Body`] if it would already have expired; any error of `registry.db`.
    pub fn create_token(&self, new: CreateToken) -> Result<(Secret, TokenView), Error> {
        self.create_token_by(&Caller::operator(), new)
    }

    /// Creates a token for a caller, as whom the audit records it.
    pub(crate) fn create_token_by(
        &self,
        by: &Caller,
        new: CreateToken,
    ) -> Result<(Secret, TokenView), Error> {
        let now = self.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Invalid::Body.into());
        }
        let Minted { id, secret, digest } = mint(SecretKind::Token)?;
        let CreateToken { role, name, runtimes, expires_at } = new;
        let (created_at, revoked_at) = (now, None);
        let view =
            TokenView { token_id: id, name, role, runtimes, created_at, expires_at, revoked_at };
        let token = AccessChange::CreateToken(TokenRow { view: view.clone(), digest });
        let audited = Audited::ok(Some(audited::token(&view)));
        self.commit(Some(&token), Action::TokenCreate, by.into(), audited)?;
        // In a fleet it is not made if the caller's own token ended meanwhile.
        self.find_token(&view.token_id).map_err(|error| match error {
            Error::UnknownToken(_) => Error::Unauthenticated,
            other => other,
        })?;
        Ok((secret, view))
    }

    /// Returns every token ever created, oldest first.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub fn tokens(&self) -> Result<Vec<TokenView>, Error> {
        self.catch_up_blocking()?;
        Ok(self.0.database.read(token::all)?)
    }

    /// Returns a token.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]; any error of `registry.db`.
    pub(crate) fn find_token(&self, id: &TokenId) -> Result<TokenView, Error> {
        let token = self.0.database.read(|connection| token::find(connection, id))?;
        token.map(|token| token.view).ok_or_else(|| Error::UnknownToken(id.clone()))
    }

    /// Revokes a token. It and all sessions started with it are refused from now on. Revoking twice
    /// changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] if there is no such token; any error of `registry.db`.
    pub fn revoke(&self, id: &TokenId) -> Result<TokenView, Error> {
        self.revoke_by(&Caller::operator(), id)
    }

    /// Revokes a token for a caller, as whom the audit records it.
    pub(crate) fn revoke_by(&self, by: &Caller, id: &TokenId) -> Result<TokenView, Error> {
        self.catch_up_blocking()?;
        let before = self.find_token(id)?;
        let revoked = AccessChange::RevokeToken(id.clone(), self.now());
        let audited = Audited { before: Some(audited::token(&before)), ..Audited::ok(None) };
        self.commit(Some(&revoked), Action::TokenRevoke, by.into(), audited)?;
        self.recheck_streams();
        let after = self.find_token(id)?;
        if after.revoked_at.is_none() { Err(Error::Unauthenticated) } else { Ok(after) }
    }

    /// Returns true if a token was ever created, including revoked ones.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub fn has_tokens(&self) -> Result<bool, Error> {
        Ok(self.0.database.read(token::any)?)
    }

    /// Creates a token of the local operator that is valid while this process runs.
    ///
    /// # Errors
    /// [`RegistryError::NoRandomness`].
    pub fn process_token(&self, role: Role) -> Result<Secret, Error> {
        let minted = mint(SecretKind::Token)?;
        self.secrets().add_process_token(&minted, role);
        Ok(minted.secret)
    }

    /// Accepts a token that others have made, while this process runs. It is the local operator's.
    ///
    /// # Errors
    /// [`RegistryError::MalformedToken`] if the text has another form than [`Secret::new_token`].
    pub fn add_process_token(&self, token: &str, role: Role) -> Result<(), RegistryError> {
        let minted = Minted::parse(SecretKind::Token, token)?;
        self.secrets().add_process_token(&minted, role);
        Ok(())
    }

    /// Creates a code for one login as admin within 10 minutes.
    ///
    /// # Errors
    /// [`RegistryError::NoRandomness`].
    pub fn login_code(&self) -> Result<Secret, Error> {
        let minted = mint(SecretKind::Code)?;
        let expires_at = Timestamp(self.now().as_millis().saturating_add(CODE_MS));
        self.secrets().add_code(&minted, self.now(), expires_at);
        Ok(minted.secret)
    }

    /// Authenticates a caller by token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::TooManyAttempts`] after ten wrong secrets from that
    /// address within a minute, though a secret that succeeded from there before is still accepted;
    /// [`Error::Busy`] if the fleet does not answer.
    pub async fn bearer(&self, peer: IpAddr, secret: &str) -> Result<Caller, Error> {
        self.check_attempts(peer, secret)?;
        let mut found = self.token(secret)?;
        if let (Some(replica), true) = (&self.0.replica, found.may_be_shared(secret)) {
            replica.fresh().await?;
            found = self.token(secret)?;
            if matches!(found, SecretLookup::Unknown) {
                // Another host may have made it just now.
                replica.catch_up().await?;
                found = self.token(secret)?;
            }
        }
        Ok(self.attempted(peer, secret, found)?.0)
    }

    /// Starts a session with a token or a login code. A process token starts none: the session
    /// would outlive it.
    ///
    /// # Errors
    /// As [`Access::bearer`]; any error of `registry.db`, in which case no session starts and a
    /// code is used up.
    pub fn login(&self, peer: IpAddr, secret: &str) -> Result<(Secret, Caller), Error> {
        self.check_attempts(peer, secret)?;
        let found = match id_in(SecretKind::Code, secret) {
            Some(id) => {
                match self.secrets().take_code(&id, &SecretDigest::of(secret), self.now()) {
                    true => SecretLookup::Valid(Caller::operator(), None),
                    false => SecretLookup::Unknown,
                }
            }
            None => {
                let found = self.token(secret)?;
                if found.is_of_process() {
                    SecretLookup::Ended
                } else if found.may_be_shared(secret) {
                    self.catch_up_blocking()?;
                    self.token(secret)?
                } else {
                    found
                }
            }
        };
        let found = self.attempted(peer, secret, found);
        let token_id = match &found {
            Ok((caller, _)) => caller.token_id.clone(),
            Err(Error::Unauthenticated) => None,
            Err(error) => return Err(error.clone()),
        };
        let outcome = skep_protocol::audit_word(found.as_ref().err());
        let minted: Minted<SessionId> = mint(SecretKind::Session)?;
        let now = self.now();
        let longest = Timestamp(now.as_millis().saturating_add(SESSION_MS));
        let started = found.as_ref().ok().map(|(_, expires_at)| SessionRow {
            id: minted.id.clone(),
            digest: minted.digest,
            token_id: token_id.clone(),
            created_at: now,
            expires_at: expires_at.map_or(longest, |at| at.min(longest)),
        });
        let started = started.map(AccessChange::StartSession);
        let audited = Audited { outcome, ..Audited::ok(None) };
        let by = ChangedBy { token_id: token_id.as_ref(), session_id: None };
        self.commit(started.as_ref(), Action::Login, by, audited)?;
        if started.is_some() && !self.has_session(&minted.id)? {
            // The token ended meanwhile.
            return Err(Error::Unauthenticated);
        }
        let (caller, _) = found?;
        Ok((minted.secret, Caller { session_id: Some(minted.id), ..caller }))
    }

    /// Authenticates a caller by session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::Busy`] if the fleet does not answer; any error of the file.
    pub async fn session(&self, secret: &str) -> Result<Caller, Error> {
        let id: SessionId = id_in(SecretKind::Session, secret).ok_or(Error::Unauthenticated)?;
        let digest = SecretDigest::of(secret);
        let now = self.now();
        let find = || {
            self.0.database.read(|connection| {
                let found = session::find(connection, &id, now)?;
                let Some(session) = found.filter(|session| session.digest.matches(&digest)) else {
                    return Ok(None);
                };
                caller_of(connection, &session, now)
            })
        };
        let mut found = None;
        if let Some(replica) = &self.0.replica {
            replica.fresh().await?;
            found = find()?;
            if found.is_none() {
                // The browser may have logged in at another host just now.
                replica.catch_up().await?;
            }
        }
        found.map_or_else(find, |caller| Ok(Some(caller)))?.ok_or(Error::Unauthenticated)
    }

    /// Returns every valid session, newest first, with the caller that it authenticates.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub(crate) fn sessions(&self) -> Result<Vec<(SessionView, Caller)>, Error> {
        self.catch_up_blocking()?;
        let now = self.now();
        Ok(self.0.database.read(|connection| {
            let mut all = Vec::new();
            for session in session::all(connection, now)? {
                let Some(caller) = caller_of(connection, &session, now)? else { continue };
                let SessionRow { id, token_id, created_at, expires_at, .. } = session;
                let (session_id, role, current) = (id, caller.role, false);
                let view =
                    SessionView { session_id, token_id, role, created_at, expires_at, current };
                all.push((view, caller));
            }
            Ok(all)
        })?)
    }

    /// Ends a session for a caller, as whom the audit records it.
    ///
    /// # Errors
    /// [`Error::UnknownSession`]; any error of `registry.db`.
    pub(crate) fn end_session(&self, by: &Caller, id: &SessionId) -> Result<(), Error> {
        if !self.has_session(id)? {
            return Err(Error::UnknownSession(id.clone()));
        }
        let ended = AccessChange::EndSession(id.clone());
        let before = AuditedState { session_id: Some(id.clone()), ..Default::default() };
        let audited = Audited { before: Some(before), ..Audited::ok(None) };
        self.commit(Some(&ended), Action::SessionEnd, by.into(), audited)?;
        self.recheck_streams();
        if self.has_session(id)? { Err(Error::Unauthenticated) } else { Ok(()) }
    }

    /// Returns true if there is a session with this id that has not expired.
    fn has_session(&self, id: &SessionId) -> Result<bool, Error> {
        let now = self.now();
        let found = self.0.database.read(|connection| session::find(connection, id, now))?;
        Ok(found.is_some())
    }

    /// Ends a session. Does nothing if the session has already ended.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub fn logout(&self, secret: &str) -> Result<(), Error> {
        let Some(id) = id_in::<SessionId>(SecretKind::Session, secret) else { return Ok(()) };
        let digest = SecretDigest::of(secret);
        let now = self.now();
        let found = self.0.database.read(|connection| session::find(connection, &id, now))?;
        let Some(session) = found.filter(|session| session.digest.matches(&digest)) else {
            return Ok(());
        };
        let ended = AccessChange::EndSession(id);
        let by = ChangedBy { token_id: session.token_id.as_ref(), session_id: None };
        self.commit(Some(&ended), Action::Logout, by, Audited::ok(None))?;
        self.recheck_streams();
        Ok(())
    }

    /// Returns when the caller's token or session is no longer valid, or when that cannot be found out.
    /// For streams, which outlive the authenticated request.
    pub(crate) async fn ended(&self, caller: Caller) -> Error {
        let mut looks = self.0.ended.subscribe();
        // Expiry sends no notification. Nor does a fleet that this host is cut off from.
        let pause = if self.0.replica.is_some() { FOLLOWED } else { LOOKED };
        while self.is_good(&caller).unwrap_or(true) {
            if let Some(replica) = &self.0.replica
                && let Err(error) = replica.still_fresh().await
            {
                return error;
            }
            let look = tokio::time::timeout(pause, looks.changed());
            if matches!(look.await, Ok(Err(_))) {
                break;
            }
        }
        Error::Unauthenticated
    }

    /// Makes streams check whether their token is still valid.
    pub(crate) fn recheck_streams(&self) {
        self.0.ended.send_replace(());
    }

    /// Waits until what this process knows is at most 2 s old.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet does not answer.
    pub(crate) async fn fresh(&self) -> Result<(), Error> {
        match &self.0.replica {
            Some(replica) => replica.fresh().await,
            None => Ok(()),
        }
    }

    fn is_good(&self, caller: &Caller) -> Result<bool, Error> {
        let Caller { token_id, session_id, .. } = caller;
        let now = self.now();
        Ok(self
            .0
            .database
            .read(|connection| is_valid(connection, token_id.as_ref(), session_id.as_ref(), now))?)
    }

    /// Looks up a token by its text.
    fn token(&self, secret: &str) -> Result<SecretLookup, Error> {
        let Some(id) = id_in(SecretKind::Token, secret) else { return Ok(SecretLookup::Unknown) };
        let digest = SecretDigest::of(secret);
        if let Some(caller) = self.secrets().process_token(&id, &digest) {
            return Ok(SecretLookup::Valid(caller, None));
        }
        let token = self.0.database.read(|connection| token::find(connection, &id))?;
        let Some(token) = token.filter(|token| token.digest.matches(&digest)) else {
            return Ok(SecretLookup::Unknown);
        };
        if !token.is_good(self.now()) {
            return Ok(SecretLookup::Ended);
        }
        let expires_at = token.view.expires_at;
        Ok(SecretLookup::Valid(token.caller(), expires_at))
    }

    /// Refuses a secret if too many wrong ones came from this address.
    fn check_attempts(&self, peer: IpAddr, secret: &str) -> Result<(), Error> {
        self.attempts().check(peer, &SecretDigest::of(secret), self.now())
    }

    /// Counts the attempt with a secret, and returns its caller.
    fn attempted(
        &self,
        peer: IpAddr,
        secret: &str,
        found: SecretLookup,
    ) -> Result<(Caller, Option<Timestamp>), Error> {
        let digest = SecretDigest::of(secret);
        match found {
            SecretLookup::Valid(caller, expires_at) => {
                self.attempts().succeeded(peer, &digest);
                Ok((caller, expires_at))
            }
            // A secret that was once valid is not a guess.
            SecretLookup::Ended => Err(Error::Unauthenticated),
            SecretLookup::Unknown => {
                self.attempts().failed(peer, self.now());
                Err(Error::Unauthenticated)
            }
        }
    }

    /// Makes a change for a caller and records it in the audit. One that changes nothing is not recorded.
    fn commit(
        &self,
        change: Option<&AccessChange>,
        action: Action,
        by: ChangedBy<'_>,
        audited: Audited,
    ) -> Result<(), Error> {
        let ChangedBy { token_id, session_id } = by;
        let Audited { outcome, before, after } = audited;
        let record = AuditRecord {
            at: self.now(),
            token_id: token_id.cloned(),
            action,
            runtime_id: None,
            worker_id: None,
            outcome,
            before,
            after,
        };
        if let Some(replica) = &self.0.replica {
            return replica.commit(change, session_id, &record);
        }
        self.0.database.write(|transaction| {
            let made = change.map_or(Ok(true), |change| change.apply(transaction))?;
            if made {
                audit::add(transaction, &record)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        (self.0.now)()
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secrets(&self) -> MutexGuard<'_, ProcessSecrets> {
        self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the caller that a session authenticates; none if its token has ended.
fn caller_of(
    connection: &Connection,
    session: &SessionRow,
    now: Timestamp,
) -> Result<Option<Caller>, RegistryError> {
    let caller = match &session.token_id {
        Some(id) => {
            let token = token::find(connection, id)?;
            token.filter(|token| token.is_good(now)).map(TokenRow::caller)
        }
        None => Some(Caller::operator()),
    };
    Ok(caller.map(|caller| Caller { session_id: Some(session.id.clone()), ..caller }))
}
