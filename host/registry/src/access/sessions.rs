//! Secrets kept in memory: process tokens, login codes and sessions.

use std::collections::HashMap;

use skep_protocol::{Role, Timestamp, TokenId};

use crate::Caller;
use crate::secret::{Minted, SecretDigest};

/// Maximum number of sessions; the one that expires first is dropped to make room.
const SESSIONS: usize = 10_000;
/// Maximum number of login codes.
const CODES: usize = 100;

/// Process tokens, login codes and sessions, by id.
#[derive(Default)]
pub(crate) struct Sessions {
    process_tokens: HashMap<TokenId, Kept<Role>>,
    codes: HashMap<TokenId, Kept<()>>,
    sessions: HashMap<TokenId, Kept<Caller>>,
}

struct Kept<T> {
    digest: SecretDigest,
    /// The end of time for process tokens.
    expires_at: Timestamp,
    value: T,
}

impl<T> Kept<T> {
    fn is(&self, digest: &SecretDigest, now: Timestamp) -> bool {
        self.digest.matches(digest) && now < self.expires_at
    }
}

impl Sessions {
    pub(crate) fn add_process_token(&mut self, minted: &Minted, role: Role) {
        let kept = Kept { digest: minted.digest, expires_at: Timestamp(u64::MAX), value: role };
        self.process_tokens.insert(minted.id.clone(), kept);
    }

    /// Returns the caller of a process token.
    pub(crate) fn process_token(&self, id: &TokenId, digest: &SecretDigest) -> Option<Caller> {
        let kept =
            self.process_tokens.get(id).filter(|kept| kept.is(digest, Timestamp::default()))?;
        Some(Caller { role: kept.value, ..Caller::operator() })
    }

    pub(crate) fn add_code(&mut self, minted: &Minted, now: Timestamp, expires_at: Timestamp) {
        make_room(&mut self.codes, CODES, now);
        let kept = Kept { digest: minted.digest, expires_at, value: () };
        self.codes.insert(minted.id.clone(), kept);
    }

    /// Uses up a code. Returns true if it was valid.
    pub(crate) fn take_code(
        &mut self,
        id: &TokenId,
        digest: &SecretDigest,
        now: Timestamp,
    ) -> bool {
        // A wrong guess must not use up the code.
        let good = self.codes.get(id).is_some_and(|kept| kept.is(digest, now));
        good && self.codes.remove(id).is_some()
    }

    pub(crate) fn add_session(
        &mut self,
        minted: &Minted,
        caller: Caller,
        now: Timestamp,
        expires_at: Timestamp,
    ) {
        make_room(&mut self.sessions, SESSIONS, now);
        let kept = Kept { digest: minted.digest, expires_at, value: caller };
        self.sessions.insert(minted.id.clone(), kept);
    }

    /// Returns the caller of a session.
    pub(crate) fn session(
        &self,
        id: &TokenId,
        digest: &SecretDigest,
        now: Timestamp,
    ) -> Option<Caller> {
        let kept = self.sessions.get(id).filter(|kept| kept.is(digest, now))?;
        Some(kept.value.clone())
    }

    /// Ends a session and returns its caller.
    pub(crate) fn end_session(&mut self, id: &TokenId, digest: &SecretDigest) -> Option<Caller> {
        let kept = self.sessions.get(id)?;
        if !kept.digest.matches(digest) {
            return None;
        }
        self.sessions.remove(id).map(|kept| kept.value)
    }
}

fn make_room<T>(all: &mut HashMap<TokenId, Kept<T>>, most: usize, now: Timestamp) {
    if all.len() < most {
        return;
    }
    all.retain(|_, kept| now < kept.expires_at);
    if all.len() >= most {
        let first = all.iter().min_by_key(|(_, kept)| kept.expires_at).map(|(id, _)| id.clone());
        first.and_then(|id| all.remove(&id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{SecretKind, mint};

    #[test]
    fn the_session_that_expires_first_makes_room() {
        let mut sessions = Sessions::default();
        let minted: Vec<_> = (0..=SESSIONS).map(|_| mint(SecretKind::Session).unwrap()).collect();
        let end = |n: usize| Timestamp(1_000 + n as u64);
        for (n, minted) in minted.iter().enumerate() {
            sessions.add_session(minted, Caller::operator(), Timestamp(0), end(n));
        }
        let good =
            |n: usize| sessions.session(&minted[n].id, &minted[n].digest, Timestamp(0)).is_some();
        assert!(!good(0) && good(1) && good(SESSIONS));
    }

    #[test]
    fn expired_codes_make_room() {
        let mut sessions = Sessions::default();
        for _ in 0..CODES {
            sessions.add_code(&mint(SecretKind::Code).unwrap(), Timestamp(0), Timestamp(10));
        }
        let code = mint(SecretKind::Code).unwrap();
        sessions.add_code(&code, Timestamp(10), Timestamp(20));
        assert_eq!(sessions.codes.len(), 1);
        assert!(!sessions.take_code(&code.id, &SecretDigest::of("another"), Timestamp(11)));
        assert!(sessions.take_code(&code.id, &code.digest, Timestamp(11)));
        assert!(!sessions.take_code(&code.id, &code.digest, Timestamp(11)));
    }
}
