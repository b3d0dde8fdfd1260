//! The validity of a caller, at one time.

use rusqlite::Connection;
use skep_protocol::{SessionId, Timestamp, TokenId};

use super::{session, token};
use crate::RegistryError;

/// Returns true if a caller's token and session are valid at that time.
pub(crate) fn is_valid(
    connection: &Connection,
    token_id: Option<&TokenId>,
    session_id: Option<&SessionId>,
    at: Timestamp,
) -> Result<bool, RegistryError> {
    let session = match session_id {
        Some(id) => session::find(connection, id, at)?.is_some(),
        None => true,
    };
    let token = match token_id {
        Some(id) => token::find(connection, id)?.is_some_and(|token| token.is_good(at)),
        None => true,
    };
    Ok(session && token)
}
