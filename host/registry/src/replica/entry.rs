//! The entries of a shared log, as JSON.
//!
//! Hosts of several versions read them. A change that a host does not know is an error, since it may
//! end the access of a caller. An unknown action is only recorded.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use skep_protocol::{
    AuditedState, Error, Invalid, RuntimeId, SessionId, Timestamp, TokenId, TokenView, WorkerId,
};

use crate::RegistryError;
use crate::access::{AccessChange, SessionRow, TokenRow, is_valid};
use crate::audit::{AuditRecord, AuditRow};
use crate::secret::SecretDigest;
use crate::shared_log::ENTRY_BYTES;

/// A record of the audit, with the change that it is about if that is in the log too.
#[derive(Serialize, Deserialize)]
struct StoredEntry {
    at: Timestamp,
    token_id: Option<TokenId>,
    /// The session of the caller, for a change.
    session_id: Option<SessionId>,
    action: String,
    runtime_id: Option<RuntimeId>,
    worker_id: Option<WorkerId>,
    outcome: String,
    before: Option<AuditedState>,
    after: Option<AuditedState>,
    change: Option<StoredChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum StoredChange {
    CreateToken {
        token: TokenView,
        digest: [u8; 32],
    },
    RevokeToken {
        token_id: TokenId,
        at: Timestamp,
    },
    StartSession {
        session_id: SessionId,
        digest: [u8; 32],
        token_id: Option<TokenId>,
        created_at: Timestamp,
        expires_at: Timestamp,
    },
    EndSession {
        session_id: SessionId,
    },
}

/// Encodes an entry. If it would be too long, it is encoded without the states before and after.
///
/// # Errors
/// [`Invalid::Body`] if the change itself is too long.
pub(super) fn encode(
    change: Option<&AccessChange>,
    session: Option<&SessionId>,
    record: &AuditRecord,
) -> Result<Vec<u8>, Error> {
    let whole = encode_all(change, session, record);
    if whole.len() <= ENTRY_BYTES {
        return Ok(whole);
    }
    let record = AuditRecord { before: None, after: None, ..record.clone() };
    let short = encode_all(change, session, &record);
    if short.len() <= ENTRY_BYTES { Ok(short) } else { Err(Invalid::Body.into()) }
}

fn encode_all(
    change: Option<&AccessChange>,
    session: Option<&SessionId>,
    record: &AuditRecord,
) -> Vec<u8> {
    let change = change.map(|change| match change {
        AccessChange::CreateToken(TokenRow { view, digest }) => {
            StoredChange::CreateToken { token: view.clone(), digest: *digest.as_bytes() }
        }
        AccessChange::RevokeToken(token_id, at) => {
            StoredChange::RevokeToken { token_id: token_id.clone(), at: *at }
        }
        AccessChange::StartSession(session) => StoredChange::StartSession {
            session_id: session.id.clone(),
            digest: *session.digest.as_bytes(),
            token_id: session.token_id.clone(),
            created_at: session.created_at,
            expires_at: session.expires_at,
        },
        AccessChange::EndSession(session_id) => {
            StoredChange::EndSession { session_id: session_id.clone() }
        }
    });
    let AuditRecord { at, token_id, action, runtime_id, worker_id, outcome, before, after } =
        record.clone();
    let (action, outcome) = (action.as_str().to_owned(), outcome.to_owned());
    let stored = StoredEntry {
        at,
        token_id,
        session_id: session.cloned(),
        action,
        runtime_id,
        worker_id,
        outcome,
        before,
        after,
        change,
    };
    serde_json::to_vec(&stored).expect("an entry is JSON")
}

/// An entry that was read.
pub(super) struct LogEntry {
    pub(super) change: Option<AccessChange>,
    record: StoredEntry,
}

impl LogEntry {
    /// Decodes an entry.
    ///
    /// # Errors
    /// [`RegistryError::NewerEntry`] if it is none that this version writes.
    pub(super) fn decode(entry: &[u8]) -> Result<Self, RegistryError> {
        let mut record: StoredEntry =
            serde_json::from_slice(entry).map_err(|_| RegistryError::NewerEntry)?;
        Ok(Self { change: record.change.take().map(AccessChange::from), record })
    }

    /// Returns true if the caller's token and session are valid before the change.
    pub(super) fn may_be_made(&self, connection: &Connection) -> Result<bool, RegistryError> {
        let StoredEntry { at, token_id, session_id, .. } = &self.record;
        is_valid(connection, token_id.as_ref(), session_id.as_ref(), *at)
    }

    /// Returns the row of the audit.
    pub(super) fn row(&self, seq: u64) -> AuditRow<'_> {
        let StoredEntry { at, token_id, action, runtime_id, worker_id, outcome, .. } = &self.record;
        AuditRow {
            seq: Some(seq),
            at: *at,
            token_id: token_id.as_ref(),
            action,
            runtime_id: runtime_id.as_ref(),
            worker_id: *worker_id,
            outcome,
            before: self.record.before.as_ref(),
            after: self.record.after.as_ref(),
        }
    }
}

impl From<StoredChange> for AccessChange {
    fn from(change: StoredChange) -> Self {
        match change {
            StoredChange::CreateToken { token, digest } => {
                let digest = SecretDigest::from_bytes(digest);
                Self::CreateToken(TokenRow { view: token, digest })
            }
            StoredChange::RevokeToken { token_id, at } => Self::RevokeToken(token_id, at),
            StoredChange::StartSession { session_id, digest, token_id, created_at, expires_at } => {
                Self::StartSession(SessionRow {
                    id: session_id,
                    digest: SecretDigest::from_bytes(digest),
                    token_id,
                    created_at,
                    expires_at,
                })
            }
            StoredChange::EndSession { session_id } => Self::EndSession(session_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_protocol::Action;

    use super::*;

    fn record() -> AuditRecord {
        AuditRecord {
            at: Timestamp(7),
            token_id: Some("0123456789ab".parse().unwrap()),
            action: Action::TokenCreate,
            runtime_id: None,
            worker_id: None,
            outcome: "ok",
            before: None,
            after: None,
        }
    }

    #[test]
    fn an_encoded_entry_is_decoded() {
        let ended = AccessChange::EndSession("0123456789ab".parse().unwrap());
        let read = LogEntry::decode(&encode(Some(&ended), None, &record()).unwrap()).unwrap();
        assert!(
            matches!(&read.change, Some(AccessChange::EndSession(id)) if id.as_str() == "0123456789ab")
        );
        assert_eq!(read.row(3), AuditRow { seq: Some(3), ..AuditRow::from(&record()) });
        assert!(
            LogEntry::decode(&encode(None, None, &record()).unwrap()).unwrap().change.is_none()
        );
    }

    #[test]
    fn an_unknown_change_is_not_ignored_and_an_unknown_action_is_recorded() {
        let known = String::from_utf8(encode(None, None, &record()).unwrap()).unwrap();
        let newer = known.replace("\"change\":null", r#""change":{"kind":"narrow_token"}"#);
        for entry in [newer.as_str(), "{}"] {
            assert_ne!(entry, known);
            let refused = LogEntry::decode(entry.as_bytes()).err();
            assert_eq!(refused, Some(RegistryError::NewerEntry), "{entry}");
        }
        let other = known.replace("token.create", "token.narrow");
        assert_eq!(LogEntry::decode(other.as_bytes()).unwrap().row(1).action, "token.narrow");
    }

    #[test]
    fn a_long_record_loses_its_states_and_a_long_change_is_refused() {
        let runtime = |n| format!("runtime-{n}").parse().unwrap();
        let runtimes: Vec<RuntimeId> = (0..20_000).map(runtime).collect();
        let token = TokenView {
            token_id: "0123456789ab".parse().unwrap(),
            name: None,
            role: skep_protocol::Role::Viewer,
            runtimes: Some(runtimes.clone()),
            created_at: Timestamp(1),
            expires_at: None,
            revoked_at: None,
        };
        let audited = skep_protocol::AuditedToken {
            token_id: token.token_id.clone(),
            name: None,
            role: token.role,
            runtimes: Some(runtimes),
        };
        let after = AuditedState { token: Some(audited), ..AuditedState::default() };
        let record = AuditRecord { after: Some(after), ..record() };
        let encoded = encode(None, None, &record).unwrap();
        assert!(encoded.len() < 1_000, "{}", encoded.len());
        let digest = SecretDigest::from_bytes([0; 32]);
        let change = AccessChange::CreateToken(TokenRow { view: token, digest });
        assert_eq!(encode(Some(&change), None, &record).err(), Some(Invalid::Body.into()));
    }
}
