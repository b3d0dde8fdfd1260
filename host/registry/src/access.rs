//! Who gets in: tokens, sessions of browsers, and codes that are good for one login.
//!
//! | secret | begins | is kept | ends |
//! | --- | --- | --- | --- |
//! | token | `skep_` | in `registry.db`, as a digest | when it expires or is revoked |
//! | token of this process | `skep_` | in memory, as a digest | with the process |
//! | session | `session_` | in memory, as a digest | after 12 hours, with its token, or at logout |
//! | login code | `code_` | in memory, as a digest | at its first use, or after 10 minutes |
//!
//! Tokens are looked up in the file each time, so a token that another process revokes is refused
//! from then on, and with it the sessions that were begun with it.

mod attempts;
mod desk;
mod token;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;
use skep_protocol::{Error, IdError, Invalid, Role, RuntimeId, Timestamp, TokenId, TokenView};
use tokio::sync::watch;

use self::attempts::Attempts;
use self::desk::Desk;
use self::token::Token;
use crate::audit::{self, AuditRecord};
use crate::database::Database;
use crate::secret::{Kind, Minted, SecretDigest, id_in, mint};
use crate::{Caller, RegistryError, Secret};
use skep_protocol::Action;

/// How long a session is good, at most.
const SESSION_MS: u64 = 12 * 60 * 60 * 1000;
/// How long a login code is.
const CODE_MS: u64 = 10 * 60 * 1000;

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What it lets its holder do.
    pub role: Role,
    /// Where, if not on every runtime.
    pub runtimes: Option<Vec<RuntimeId>>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// Tokens, sessions and codes. What is read is one indexed row; what makes, revokes, logs in or out
/// waits for the disk, so asynchronous callers do it on a thread for blocking work.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    database: Arc<Database>,
    now: fn() -> Timestamp,
    desk: Mutex<Desk>,
    attempts: Mutex<Attempts>,
    /// Told whenever a token may have ended.
    ended: watch::Sender<()>,
}

/// Who a secret lets in.
enum Found {
    /// Somebody, until then.
    Somebody(Caller, Option<Timestamp>),
    /// Nobody, but it did.
    Past,
    /// Nobody.
    Nobody,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    pub(crate) fn new(database: Arc<Database>, now: fn() -> Timestamp) -> Self {
        Self(Arc::new(Inner {
            database,
            now,
            desk: Mutex::default(),
            attempts: Mutex::default(),
            ended: watch::Sender::new(()),
        }))
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Invalid::Body`] where it would have ended already; the file's.
    pub fn create_token(&self, new: NewToken) -> Result<(Secret, TokenView), Error> {
        let now = self.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Invalid::Body.into());
        }
        let Minted { id, secret, digest } = mint(Kind::Token)?;
        let view = TokenView {
            token_id: id,
            role: new.role,
            runtimes: new.runtimes,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let token = Token { view: view.clone(), digest };
        self.0.database.write(|transaction| {
            token.insert(transaction)?;
            self.note(transaction, Action::TokenCreate, None, "ok")
        })?;
        Ok((secret, view))
    }

    /// Every token that was ever made, oldest first.
    ///
    /// # Errors
    /// The file's.
    pub fn tokens(&self) -> Result<Vec<TokenView>, Error> {
        Ok(self.0.database.read(token::all)?)
    }

    /// Revokes a token. It and all sessions that were begun with it are refused from now on. One that
    /// was revoked stays as it was.
    ///
    /// # Errors
    /// [`Invalid::Id`] where there is no such token; the file's.
    pub fn revoke(&self, id: &TokenId) -> Result<TokenView, Error> {
        let view = self.0.database.write(|transaction| {
            if token::revoke(transaction, id, self.now())? {
                self.note(transaction, Action::TokenRevoke, None, "ok")?;
            }
            Ok(token::find(transaction, id)?.map(|token| token.view))
        })?;
        self.look();
        view.ok_or_else(|| Invalid::Id(IdError::Runtime).into())
    }

    /// Whether a token was ever made, revoked ones included.
    ///
    /// # Errors
    /// The file's.
    pub fn has_tokens(&self) -> Result<bool, Error> {
        Ok(self.0.database.read(token::any)?)
    }

    /// Makes a token of the operator at the machine, that is good while this process runs.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn process_token(&self, role: Role) -> Result<Secret, Error> {
        let minted = mint(Kind::Token)?;
        self.desk().add_own(&minted, role);
        Ok(minted.secret)
    }

    /// Makes a code for one login as admin within 10 minutes.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn login_code(&self) -> Result<Secret, Error> {
        let minted = mint(Kind::Code)?;
        let expires_at = Timestamp(self.now().as_millis().saturating_add(CODE_MS));
        self.desk().add_code(&minted, self.now(), expires_at);
        Ok(minted.secret)
    }

    /// Who sends this token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::Busy`] where too many wrong ones came from that address
    /// within a minute. Whoever got in from there before is let in nevertheless.
    pub fn bearer(&self, peer: IpAddr, secret: &str) -> Result<Caller, Error> {
        Ok(self.attempt(peer, secret, || self.token(secret))?.0)
    }

    /// Begins a session with a token or a login code.
    ///
    /// # Errors
    /// As [`Access::bearer`]; the file's, and then there is no session and a code is used up.
    pub fn login(&self, peer: IpAddr, secret: &str) -> Result<(Secret, Caller), Error> {
        let found = self.attempt(peer, secret, || match id_in(Kind::Code, secret) {
            Some(id) => {
                let taken = self.desk().take_code(&id, &SecretDigest::of(secret), self.now());
                Ok(if taken { Found::Somebody(Caller::operator(), None) } else { Found::Nobody })
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
        let minted = mint(Kind::Session)?;
        self.desk().add_session(&minted, caller.clone(), self.now(), expires_at);
        Ok((minted.secret, caller))
    }

    /// Whose session this is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; the file's.
    pub fn session(&self, secret: &str) -> Result<Caller, Error> {
        let id = id_in(Kind::Session, secret).ok_or(Error::Unauthenticated)?;
        let digest = SecretDigest::of(secret);
        let found = self.desk().session(&id, &digest, self.now());
        let caller = found.ok_or(Error::Unauthenticated)?;
        let good = match &caller.token_id {
            Some(token) => self.is_good(token)?,
            None => true,
        };
        if good { Ok(caller) } else { Err(Error::Unauthenticated) }
    }

    /// Ends a session. One that is no longer good is none to be ended.
    ///
    /// # Errors
    /// The file's; the session is ended nevertheless.
    pub fn logout(&self, secret: &str) -> Result<(), Error> {
        let Some(id) = id_in(Kind::Session, secret) else { return Ok(()) };
        let Some(caller) = self.desk().end_session(&id, &SecretDigest::of(secret)) else {
            return Ok(());
        };
        self.0.database.write(|transaction| {
            self.note(transaction, Action::Logout, caller.token_id.as_ref(), "ok")
        })?;
        Ok(())
    }

    /// Returns when the token is good no longer. For streams, which outlive the request that was
    /// let in.
    pub(crate) async fn ended(&self, token: TokenId) {
        let mut looks = self.0.ended.subscribe();
        while self.is_good(&token).unwrap_or(true) {
            // It may also expire, which nobody tells.
            let look = tokio::time::timeout(std::time::Duration::from_secs(5), looks.changed());
            if matches!(look.await, Ok(Err(_))) {
                return;
            }
        }
    }

    /// Has streams look whether their token is still good.
    pub(crate) fn look(&self) {
        self.0.ended.send_replace(());
    }

    fn is_good(&self, id: &TokenId) -> Result<bool, Error> {
        let token = self.0.database.read(|connection| token::find(connection, id))?;
        Ok(token.is_some_and(|token| token.is_good(self.now())))
    }

    /// Whose token the text is, and when it ends.
    fn token(&self, secret: &str) -> Result<Found, Error> {
        let Some(id) = id_in(Kind::Token, secret) else { return Ok(Found::Nobody) };
        let digest = SecretDigest::of(secret);
        if let Some(caller) = self.desk().own(&id, &digest) {
            return Ok(Found::Somebody(caller, None));
        }
        let token = self.0.database.read(|connection| token::find(connection, &id))?;
        let Some(token) = token.filter(|token| token.digest.matches(&digest)) else {
            return Ok(Found::Nobody);
        };
        if !token.is_good(self.now()) {
            return Ok(Found::Past);
        }
        let expires_at = token.view.expires_at;
        Ok(Found::Somebody(token.caller(), expires_at))
    }

    /// Lets somebody try a secret, if not too many wrong ones came from there.
    fn attempt(
        &self,
        peer: IpAddr,
        secret: &str,
        find: impl FnOnce() -> Result<Found, Error>,
    ) -> Result<(Caller, Option<Timestamp>), Error> {
        let digest = SecretDigest::of(secret);
        self.attempts().check(peer, &digest, self.now())?;
        match find()? {
            Found::Somebody(caller, expires_at) => {
                self.attempts().succeeded(peer, &digest);
                Ok((caller, expires_at))
            }
            // That was no guess.
            Found::Past => Err(Error::Unauthenticated),
            Found::Nobody => {
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

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
