//! Stored routes.

use rusqlite::{Connection, OptionalExtension, Row, params};
use skep_protocol::{RouteAuth, RoutePrefix, SiteName, Timestamp};

use super::spec::SiteRoute;
use crate::RegistryError;

/// A row of the table `route`.
#[derive(Debug)]
pub(super) struct StoredRoute {
    pub(super) site: SiteName,
    pub(super) route: SiteRoute,
    pub(super) created_at: Timestamp,
}

impl StoredRoute {
    pub(super) fn insert(&self, connection: &Connection) -> Result<(), RegistryError> {
        const ADD: &str = "INSERT INTO route
             (site, prefix, runtime_id, worker_id, auth, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        connection.prepare_cached(ADD)?.execute(params![
            self.site.as_str(),
            self.route.prefix.to_string(),
            self.route.runtime_id.as_str(),
            self.route.worker_id.to_string(),
            self.route.auth.as_str(),
            self.created_at.as_millis().cast_signed(),
        ])?;
        Ok(())
    }
}

/// Returns every route, by site and prefix.
pub(super) fn all(connection: &Connection) -> Result<Vec<StoredRoute>, RegistryError> {
    const ALL: &str = "SELECT site, prefix, runtime_id, worker_id, auth, created_at FROM route
         ORDER BY site, prefix";
    let mut statement = connection.prepare_cached(ALL)?;
    let rows = statement.query_and_then([], read)?;
    rows.collect()
}

/// Returns the number of routes.
pub(super) fn count(connection: &Connection) -> Result<i64, RegistryError> {
    Ok(connection.query_row("SELECT count(*) FROM route", [], |row| row.get(0))?)
}

/// Returns the route with this prefix.
pub(super) fn find(
    connection: &Connection,
    site: &SiteName,
    prefix: &RoutePrefix,
) -> Result<Option<StoredRoute>, RegistryError> {
    const FIND: &str = "SELECT site, prefix, runtime_id, worker_id, auth, created_at FROM route
         WHERE site = ?1 AND prefix = ?2";
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query_and_then([site.as_str(), &prefix.to_string()], read)?;
    rows.next().transpose()
}

/// Removes a route. Returns true if there was one.
pub(super) fn remove(
    connection: &Connection,
    site: &SiteName,
    prefix: &RoutePrefix,
) -> Result<bool, RegistryError> {
    const REMOVE: &str = "DELETE FROM route WHERE site = ?1 AND prefix = ?2 RETURNING 1";
    let key = [site.as_str(), &prefix.to_string()];
    let removed = connection.query_row(REMOVE, key, |_| Ok(()));
    Ok(removed.optional()?.is_some())
}

fn read(row: &Row<'_>) -> Result<StoredRoute, RegistryError> {
    fn parse<T: std::str::FromStr>(text: &str) -> Result<T, RegistryError> {
        text.parse().map_err(|_| RegistryError::Damaged)
    }
    let text = |column| -> rusqlite::Result<String> { row.get(column) };
    let auth = text(4)?;
    let auth = RouteAuth::ALL.into_iter().find(|one| one.as_str() == auth);
    Ok(StoredRoute {
        site: parse(&text(0)?)?,
        route: SiteRoute {
            prefix: parse(&text(1)?)?,
            runtime_id: parse(&text(2)?)?,
            worker_id: parse(&text(3)?)?,
            auth: auth.ok_or(RegistryError::Damaged)?,
        },
        created_at: Timestamp(row.get::<_, i64>(5)?.cast_unsigned()),
    })
}
