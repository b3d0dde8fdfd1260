//! Stored sessions. They outlive the process, so that a restart of the host logs no browser out.

use rusqlite::{Connection, OptionalExtension, Row, params};
use skep_protocol::{SessionId, Timestamp, TokenId};

use crate::RegistryError;
use crate::secret::SecretDigest;

/// Maximum number of sessions; the one that expires first is dropped to make room.
const SESSIONS: i64 = 10_000;

/// A row of the table `session`.
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) digest: SecretDigest,
    /// Token that it began with; none for a login code.
    pub(crate) token_id: Option<TokenId>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl SessionRow {
    /// Inserts the row, and drops those that expire first if they are too many. No row is dropped by a
    /// clock, which may be that of another host.
    pub(crate) fn insert(&self, connection: &Connection) -> Result<(), RegistryError> {
        self.insert_among(connection, SESSIONS)
    }

    fn insert_among(&self, connection: &Connection, most: i64) -> Result<(), RegistryError> {
        let now = self.created_at.as_millis().cast_signed();
        const ROOM: &str = "DELETE FROM session WHERE id IN (
             SELECT id FROM session ORDER BY expires_at
             LIMIT max(0, (SELECT count(*) FROM session) - ?1))";
        connection.execute(ROOM, [most - 1])?;
        const ADD: &str =
            "INSERT OR REPLACE INTO session (id, digest, token_id, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.execute(
            ADD,
            params![
                self.id.as_str(),
                self.digest.as_bytes(),
                self.token_id.as_ref().map(TokenId::as_str),
                now,
                self.expires_at.as_millis().cast_signed(),
            ],
        )?;
        Ok(())
    }
}

/// Returns the session with this id, unless it has expired.
pub(crate) fn find(
    connection: &Connection,
    id: &SessionId,
    now: Timestamp,
) -> Result<Option<SessionRow>, RegistryError> {
    const FIND: &str = "SELECT id, digest, token_id, created_at, expires_at FROM session
         WHERE id = ?1 AND expires_at > ?2";
    let mut statement = connection.prepare_cached(FIND)?;
    let now = now.as_millis().cast_signed();
    let mut rows = statement.query_and_then(params![id.as_str(), now], read)?;
    rows.next().transpose()
}

/// Returns every session that has not expired, newest first.
pub(crate) fn all(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<SessionRow>, RegistryError> {
    const ALL: &str = "SELECT id, digest, token_id, created_at, expires_at FROM session
         WHERE expires_at > ?1 ORDER BY created_at DESC, id";
    let mut statement = connection.prepare_cached(ALL)?;
    let rows = statement.query_and_then([now.as_millis().cast_signed()], read)?;
    rows.collect()
}

/// Removes a session. Returns true if there was one.
pub(crate) fn remove(connection: &Connection, id: &SessionId) -> Result<bool, RegistryError> {
    const REMOVE: &str = "DELETE FROM session WHERE id = ?1 RETURNING 1";
    let removed = connection.query_row(REMOVE, [id.as_str()], |_| Ok(()));
    Ok(removed.optional()?.is_some())
}

/// Removes the sessions that began with a token.
pub(crate) fn remove_of(connection: &Connection, token: &TokenId) -> Result<(), RegistryError> {
    connection.execute("DELETE FROM session WHERE token_id = ?1", [token.as_str()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<SessionRow, RegistryError> {
    let time = |column| -> rusqlite::Result<Timestamp> {
        Ok(Timestamp(row.get::<_, i64>(column)?.cast_unsigned()))
    };
    let (id, token_id): (String, Option<String>) = (row.get(0)?, row.get(2)?);
    let token_id = token_id.map(|id| id.parse()).transpose();
    Ok(SessionRow {
        id: id.parse().map_err(|_| RegistryError::Damaged)?,
        digest: SecretDigest::from_bytes(row.get(1)?),
        token_id: token_id.map_err(|_| RegistryError::Damaged)?,
        created_at: time(3)?,
        expires_at: time(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{OWN, RegistryDatabase};
    use crate::secret::{SecretKind, mint};

    #[test]
    fn the_session_that_expires_first_makes_room() {
        let dir = cap_tempfile::tempdir(cap_std::ambient_authority()).unwrap();
        let database = RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap();
        let add = |created_at, expires_at| {
            let minted = mint::<SessionId>(SecretKind::Session).unwrap();
            let row = SessionRow {
                id: minted.id.clone(),
                digest: minted.digest,
                token_id: None,
                created_at: Timestamp(created_at),
                expires_at: Timestamp(expires_at),
            };
            database.write(|transaction| row.insert_among(transaction, 3)).unwrap();
            minted.id
        };
        let is_there = |id: &SessionId| {
            database.read(|connection| find(connection, id, Timestamp(10))).unwrap().is_some()
        };
        let (late, early, other) = (add(1, 30), add(2, 20), add(3, 40));
        assert!([&late, &early, &other].into_iter().all(&is_there));
        let fourth = add(4, 50);
        assert!(!is_there(&early));
        assert!([&late, &other, &fourth].into_iter().all(&is_there));
        // The next one to expire makes room again.
        let fifth = add(35, 60);
        assert!(!is_there(&late));
        assert!([&other, &fourth, &fifth].into_iter().all(is_there));
    }
}
