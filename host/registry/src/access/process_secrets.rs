//! Secrets kept in memory: process tokens and login codes. They end with the process.

use std::collections::HashMap;

use skep_protocol::{Role, Timestamp, TokenId};

use crate::Caller;
use crate::secret::{Minted, SecretDigest};

/// Maximum number of login codes.
const CODES: usize = 100;

/// Process tokens and login codes, by id.
#[derive(Default)]
pub(crate) struct ProcessSecrets {
    process_tokens: HashMap<TokenId, Kept<Role>>,
    codes: HashMap<TokenId, Kept<()>>,
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

impl ProcessSecrets {
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
    fn expired_codes_make_room() {
        let mut secrets = ProcessSecrets::default();
        for _ in 0..CODES {
            secrets.add_code(&mint(SecretKind::Code).unwrap(), Timestamp(0), Timestamp(10));
        }
        let code = mint(SecretKind::Code).unwrap();
        secrets.add_code(&code, Timestamp(10), Timestamp(20));
        assert_eq!(secrets.codes.len(), 1);
        assert!(!secrets.take_code(&code.id, &SecretDigest::of("another"), Timestamp(11)));
        assert!(secrets.take_code(&code.id, &code.digest, Timestamp(11)));
        assert!(!secrets.take_code(&code.id, &code.digest, Timestamp(11)));
    }
}
