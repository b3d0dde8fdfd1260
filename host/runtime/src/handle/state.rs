//! The state of a worker, read from the store: looking at it wakes no instance.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep_protocol::{Error, Invalid, ListState, Listing, StateItem, WorkerId};

use super::page;
use crate::embedded::Embedded;

impl Embedded {
    pub(super) async fn state_of(
        &self,
        worker: WorkerId,
        query: ListState,
    ) -> Result<Listing<StateItem>, Error> {
        let number = self.record(worker)?.number;
        let ListState { prefix, limit, cursor } = query;
        let after = cursor.as_deref().map(read_cursor).transpose()?;
        let (prefix, limit) = (prefix.unwrap_or_default(), page(limit));
        let found =
            self.read(move |store| store.state_page(number, &prefix, after.as_deref(), limit));
        let (items, more) = found.await?;
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(&item.key));
        Ok(Listing { items, next_cursor, diagnostics: Vec::new() })
    }
}

/// A cursor is the last key, encoded: a key may be any text.
fn read_cursor(cursor: &str) -> Result<String, Invalid> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|key| String::from_utf8(key).ok());
    key.ok_or(Invalid::Cursor)
}
