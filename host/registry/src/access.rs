//! Authentication: tokens, browser sessions and single-use login codes.
//!
//! | secret | prefix | stored | expires |
//! | --- | --- | --- | --- |
//! | token | `skep_` | in `registry.db`, as a digest | when it expires or is revoked |
//! | process token | `skep_` | in memory, as a digest | with the process |
//! | session | `session_` | in memory, as a digest | after 12 hours, with its token, or at logout |
//! | login code | `code_` | in memory, as a digest | at its first use, or after 10 minutes |
//!
//! Each check reads the token from the file, so a token that another process revokes is refused at
//! once, and so are the sessions started with it.

mod attempts;
mod sessions;
mod token;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;
use skep_protocol::{Error, IdError, Invalid, Role, RuntimeId, Timestamp, TokenId, TokenView};
use tokio::sync::watch;

use self::attempts::Attempts;
use self::sessions::Sessions;
use self::token::TokenRow;
use crate::audit::{self, AuditRecord};
use crate::database::RegistryDatabase;
use crate::secret::{Minted, SecretDigest, SecretKind, id_in, mint};
use crate::{Caller, RegistryError, Secret};
use skep_protocol::Action;

/// Maximum lifetime of a session.
const SESSION_MS: u64 = 12 * 60 * 60 * 1000;
/// Lifetime of a login code.
const CODE_MS: u64 = 10 * 60 * 1000;

/// The properties of a token to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Role of the token.
    pub role: Role,
    /// Runtimes that the token is limited to; all if absent.
    pub runtimes: Option<Vec<RuntimeId>>,
    /// Time of expiry, if it expires.
    pub expires_at: Option<Timestamp>,
}

/// Tokens, sessions and login codes. Reading is one indexed row. Creating, revoking, logging in and
/// logging out wait for the disk, so async callers use a blocking thread.
#[derive(Clone)]
pub struct Access(Arc<AccessState>);

struct AccessState {
    database: Arc<RegistryDatabase>,
    now: fn() -> Timestamp,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    /// Notified whenever a token may have expired or been revoked.
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

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    pub(crate) fn new(database: Arc<RegistryDatabase>, now: fn() -> Timestamp) -> Self {
        Self(Arc::new(AccessState {
            database,
            now,
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            ended: watch::Sender::new(()),
        }))
    }

    /// Creates a token. Its text is only in the return value.
    ///
    /// # Errors
    /// [`Invalid::Body`] if it would already have expired; any error of `registry.db`.
    pub fn create_token(&self, new: NewToken) -> Result<(Secret, TokenView), Error> {
        let now = self.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Invalid::Body.into());
        }
        let Minted { id, secret, digest } = mint(SecretKind::Token)?;
        let view = TokenView {
            token_id: id,
            role: new.role,
            runtimes: new.runtimes,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let token = TokenRow { view: view.clone(), digest };
        self.0.database.write(|transaction| {
            token.insert(transaction)?;
            self.note(transaction, Action::TokenCreate, None, "ok")
        })?;
        Ok((secret, view))
    }

    /// Returns every token ever created, oldest first.
    ///
    /// # Errors
    /// Any error of `registry.db`.
    pub fn tokens(&self) -> Result<Vec<TokenView>, Error> {
        Ok(self.0.database.read(token::all)?)
    }

    /// Revokes a token. It and all sessions started with it are refused from now on. Revoking twice
    /// changes nothing.
    ///
    /// # Errors
    /// [`Invalid::Id`] if there is no such token; any error of `registry.db`.
    pub fn revoke(&self, id: &TokenId) -> Result<TokenView, Error> {
        let view = self.0.database.write(|transaction| {
            if token::revoke(transaction, id, self.now())? {
                self.note(transaction, Action::TokenRevoke, None, "ok")?;
            }
            Ok(token::find(transaction, id)?.map(|token| token.view))
        })?;
        self.recheck_streams();
        view.ok_or_else(|| Invalid::Id(IdError::Runtime).into())
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
        self.sessions().add_process_token(&minted, role);
        Ok(minted.secret)
    }

    /// Creates a code for one login as admin within 10 minutes.
    ///
    /// # Errors
    /// [`RegistryError::NoRandomness`].
    pub fn login_code(&self) -> Result<Secret, Error> {
        let minted = mint(SecretKind::Code)?;
        let expires_at = Timestamp(self.now().as_millis().saturating_add(CODE_MS));
        self.sessions().add_code(&minted, self.now(), expires_at);
        Ok(minted.secret)
    }

    /// Authenticates a caller by token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::Busy`] if too many wrong secrets came from that address
    /// within a minute. A secret that succeeded from there before is still accepted.
    pub fn bearer(&self, peer: IpAddr, secret: &str) -> Result<Caller, Error> {
        Ok(self.attempt(peer, secret, || self.token(secret))?.0)
    }

    /// Starts a session with a token or a login code.
    ///
    /// # Errors
    /// As [`Access::bearer`]; any error of `registry.db`, in which case no session starts and a
    /// code is used up.
    pub fn login(&self, peer: IpAddr, secret: &str) -> Result<(Secret, Caller), Error> {
        let found = self.attempt(peer, secret, || match id_in(SecretKind::Code, secret) {
            Some(id) => {
                let taken = self.sessions().take_code(&id, &SecretDigest::of(secret), self.now());
                Ok(if taken {
                    SecretLookup::Valid(Caller::operator(), None)
                } else {
                    SecretLookup::Unknown
                })
            }
            None => self.token(secret),
        });
        let token_id = match &found {
            Ok((caller, _)) => caller.token_id.clone(),
            Err(Error::Unauthenticated) => None,
            Err(error) => return Err(error.clone()),
        };
        let outcome = skep_protocol::audit_word(found.as_ref().err());
        self.0.database.write(|transaction| {
            self.note(transaction, Action::Login, token_id.as_ref(), outcome)
        })?;
        let (caller, expires_at) = found?;
        let longest = Timestamp(self.now().as_millis().saturating_add(SESSION_MS));
        let expires_at = expires_at.map_or(longest, |at| at.min(longest));
        let minted = mint(SecretKind::Session)?;
        self.sessions().add_session(&minted, caller.clone(), self.now(), expires_at);
        Ok((minted.secret, caller))
    }

    /// Authenticates a caller by session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; any error of `registry.db`.
    pub fn session(&self, secret: &str) -> Result<Caller, Error> {
        let id = id_in(SecretKind::Session, secret).ok_or(Error::Unauthenticated)?;
        let digest = SecretDigest::of(secret);
        let found = self.sessions().session(&id, &digest, self.now());
        let caller = found.ok_or(Error::Unauthenticated)?;
        let good = match &caller.token_id {
            Some(token) => self.is_good(token)?,
            None => true,
        };
        if good { Ok(caller) } else { Err(Error::Unauthenticated) }
    }

    /// Ends a session. Does nothing if the session has already ended.
    ///
    /// # Errors
    /// Any error of `registry.db`; the session ends nevertheless.
    pub fn logout(&self, secret: &str) -> Result<(), Error> {
        let Some(id) = id_in(SecretKind::Session, secret) else { return Ok(()) };
        let Some(caller) = self.sessions().end_session(&id, &SecretDigest::of(secret)) else {
            return Ok(());
        };
        self.0.database.write(|transaction| {
            self.note(transaction, Action::Logout, caller.token_id.as_ref(), "ok")
        })?;
        Ok(())
    }

    /// Returns when the token is no longer valid. For streams, which outlive the authenticated
    /// request.
    pub(crate) async fn ended(&self, token: TokenId) {
        let mut looks = self.0.ended.subscribe();
        while self.is_good(&token).unwrap_or(true) {
            // The timeout catches expiry, which sends no notification.
            let look = tokio::time::timeout(std::time::Duration::from_secs(5), looks.changed());
            if matches!(look.await, Ok(Err(_))) {
                return;
            }
        }
    }

    /// Makes streams check whether their token is still valid.
    pub(crate) fn recheck_streams(&self) {
        self.0.ended.send_replace(());
    }

    fn is_good(&self, id: &TokenId) -> Result<bool, Error> {
        let token = self.0.database.read(|connection| token::find(connection, id))?;
        Ok(token.is_some_and(|token| token.is_good(self.now())))
    }

    /// Looks up a token by its text.
    fn token(&self, secret: &str) -> Result<SecretLookup, Error> {
        let Some(id) = id_in(SecretKind::Token, secret) else { return Ok(SecretLookup::Unknown) };
        let digest = SecretDigest::of(secret);
        if let Some(caller) = self.sessions().process_token(&id, &digest) {
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

    /// Looks up a secret unless too many wrong ones came from this address.
    fn attempt(
        &self,
        peer: IpAddr,
        secret: &str,
        find: impl FnOnce() -> Result<SecretLookup, Error>,
    ) -> Result<(Caller, Option<Timestamp>), Error> {
        let digest = SecretDigest::of(secret);
        self.attempts().check(peer, &digest, self.now())?;
        match find()? {
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

    fn note(
        &self,
        transaction: &Transaction<'_>,
        action: Action,
        token_id: Option<&TokenId>,
        outcome: &'static str,
    ) -> Result<(), RegistryError> {
        let record = AuditRecord {
            at: self.now(),
            token_id: token_id.cloned(),
            action,
            runtime_id: None,
            worker_id: None,
            outcome,
        };
        audit::add(transaction, &record)
    }

    fn now(&self) -> Timestamp {
        (self.0.now)()
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
