//! Stored tokens.

use rusqlite::{Connection, OptionalExtension, Row, params};
use skep_protocol::{Role, RuntimeId, Timestamp, TokenId, TokenName, TokenView};

use crate::secret::SecretDigest;
use crate::{Caller, RegistryError};

const COLUMNS: &str = "id, digest, role, runtimes, created_at, expires_at, revoked_at, name";

/// A row of the table `token`.
pub(crate) struct TokenRow {
    pub(crate) view: TokenView,
    pub(crate) digest: SecretDigest,
}

impl TokenRow {
    /// Returns true if the token is valid now.
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        self.view.revoked_at.is_none() && self.view.expires_at.is_none_or(|at| now < at)
    }

    /// Returns the caller that this token authenticates.
    pub(crate) fn caller(self) -> Caller {
        let TokenView { token_id, role, runtimes, .. } = self.view;
        let runtimes = runtimes.map(|runtimes| runtimes.into_iter().collect());
        Caller { token_id: Some(token_id), session_id: None, role, runtimes }
    }

    /// Inserts the row. Returns false if it is there already.
    pub(crate) fn insert(&self, connection: &Connection) -> Result<bool, RegistryError> {
        let runtimes =
            self.view.runtimes.as_ref().map(|runtimes| {
                runtimes.iter().map(RuntimeId::as_str).collect::<Vec<_>>().join(" ")
            });
        let insert = format!(
            "INSERT OR IGNORE INTO token ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7)"
        );
        let inserted = connection.execute(
            &insert,
            params![
                self.view.token_id.as_str(),
                self.digest.as_bytes(),
                self.view.role.as_str(),
                runtimes,
                self.view.created_at.as_millis().cast_signed(),
                self.view.expires_at.map(|at| at.as_millis().cast_signed()),
                self.view.name.as_ref().map(TokenName::as_str),
            ],
        )?;
        Ok(inserted > 0)
    }
}

/// Returns every token, oldest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<TokenView>, RegistryError> {
    let all = format!("SELECT {COLUMNS} FROM token ORDER BY created_at, id");
    let mut statement = connection.prepare(&all)?;
    let rows = statement.query_and_then([], read)?;
    rows.map(|row| row.map(|token| token.view)).collect()
}

/// Returns true if there is any token.
pub(crate) fn any(connection: &Connection) -> Result<bool, RegistryError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM token)", [], |row| row.get(0))?)
}

/// Returns the token with this id.
pub(crate) fn find(
    connection: &Connection,
    id: &TokenId,
) -> Result<Option<TokenRow>, RegistryError> {
    const FIND: &str = "SELECT id, digest, role, runtimes, created_at, expires_at, revoked_at, name
         FROM token WHERE id = ?1";
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query_and_then([id.as_str()], read)?;
    rows.next().transpose()
}

/// Revokes a token. Returns true if it was not revoked before.
pub(crate) fn revoke(
    connection: &Connection,
    id: &TokenId,
    now: Timestamp,
) -> Result<bool, RegistryError> {
    const REVOKE: &str = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL
         RETURNING 1";
    let now = now.as_millis().cast_signed();
    let revoked = connection.query_row(REVOKE, params![id.as_str(), now], |_| Ok(()));
    Ok(revoked.optional()?.is_some())
}

fn read(row: &Row<'_>) -> Result<TokenRow, RegistryError> {
    let time = |column| -> rusqlite::Result<Option<Timestamp>> {
        let time: Option<i64> = row.get(column)?;
        Ok(time.map(|time| Timestamp(time.cast_unsigned())))
    };
    let id: String = row.get(0)?;
    let role: String = row.get(2)?;
    let runtimes: Option<String> = row.get(3)?;
    let name: Option<String> = row.get(7)?;
    let runtimes = runtimes.map(|runtimes| {
        let ids = runtimes.split(' ').filter(|id| !id.is_empty()).map(str::parse);
        ids.collect::<Result<Vec<RuntimeId>, _>>().map_err(|_| RegistryError::Damaged)
    });
    let view = TokenView {
        token_id: id.parse().map_err(|_| RegistryError::Damaged)?,
        name: name.map(|name| name.parse().map_err(|_| RegistryError::Damaged)).transpose()?,
        role: role_of(&role).ok_or(RegistryError::Damaged)?,
        runtimes: runtimes.transpose()?,
        created_at: time(4)?.ok_or(RegistryError::Damaged)?,
        expires_at: time(5)?,
        revoked_at: time(6)?,
    };
    Ok(TokenRow { view, digest: SecretDigest::from_bytes(row.get(1)?) })
}

fn role_of(text: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.as_str() == text)
}
