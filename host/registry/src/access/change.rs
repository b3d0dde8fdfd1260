//! Changes of tokens and sessions. Applying the same changes in the same order gives the same rows,
//! whatever process applies them.

use rusqlite::Connection;
use skep_protocol::{SessionId, Timestamp, TokenId};

use super::session::{self, SessionRow};
use super::token::{self, TokenRow};
use crate::RegistryError;

/// A change of tokens or sessions.
pub(crate) enum AccessChange {
    /// A token is created.
    CreateToken(TokenRow),
    /// A token is revoked, and its sessions end.
    RevokeToken(TokenId, Timestamp),
    /// A session starts.
    StartSession(SessionRow),
    /// A session ends.
    EndSession(SessionId),
}

impl AccessChange {
    /// Makes the change. Returns false if there was nothing to change.
    pub(crate) fn apply(&self, connection: &Connection) -> Result<bool, RegistryError> {
        match self {
            Self::CreateToken(row) => row.insert(connection),
            Self::RevokeToken(id, at) => {
                let revoked = token::revoke(connection, id, *at)?;
                session::remove_of(connection, id)?;
                Ok(revoked)
            }
            Self::StartSession(row) => row.insert(connection).map(|()| true),
            Self::EndSession(id) => session::remove(connection, id),
        }
    }

    /// Returns true if a token or a session ends with it.
    pub(crate) fn ends_access(&self) -> bool {
        matches!(self, Self::RevokeToken(..) | Self::EndSession(_))
    }
}
