//! The verbs of components and configs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use skep_protocol::*;

use super::{PAGE, gather};
use crate::Guest;
use crate::fake::disk::Disk;
use crate::fake::{FakeRuntime, guest, now};

/// Returns a page of the ordered items after the cursor.
fn page<K: Ord + Copy + ToString + std::str::FromStr, V>(
    all: &BTreeMap<K, V>,
    cursor: Option<String>,
    limit: usize,
    show: impl Fn(&V) -> Option<K>,
) -> Result<(Vec<K>, Option<String>), Error> {
    let cursor = cursor.map(|text| text.parse::<K>().map_err(|_| Invalid::Cursor)).transpose()?;
    let after = |key: &K| cursor.as_ref().is_none_or(|cursor| key > cursor);
    let found = all.iter().filter(|(key, _)| after(key)).filter_map(|(_, value)| show(value));
    let limit = if limit == 0 { PAGE } else { limit };
    let mut keys: Vec<K> = found.take(limit + 1).collect();
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(ToString::to_string);
    Ok((keys, next))
}

impl FakeRuntime {
    fn uses(disk: &Disk, component: ComponentDigest) -> bool {
        disk.workers.values().any(|row| {
            let previous = row.previous.map(|version| version.component);
            row.spec.component == component || previous == Some(component)
        })
    }
}

/// Returns the kind of a guest and its main export.
fn kind_of(guest: Guest) -> (ComponentKind, &'static str) {
    match guest {
        Guest::Scribe | Guest::Echo => (ComponentKind::Service, "skep:worker/handler@0.1.0"),
        Guest::Hello | Guest::Probe => (ComponentKind::Command, "wasi:cli/run@0.2.12"),
        Guest::Responder => (ComponentKind::Http, "wasi:http/incoming-handler@0.2.12"),
    }
}

#[async_trait]
impl Artifacts for FakeRuntime {
    async fn put_component(
        &self,
        wasm: ByteStream,
        _by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        let bytes = gather(wasm, u64::MAX, &Error::Internal).await?;
        let read = guest::read(&bytes);
        let guest = read.map_err(|why| Error::ComponentRefused { reason: why.into() })?;
        let digest = ComponentDigest::from_sha256(Sha256::digest(&bytes).into());
        let (kind, export) = kind_of(guest);
        self.with(|disk| {
            let created = !disk.components.contains_key(&digest);
            let (view, _) = disk.components.entry(digest).or_insert_with(|| {
                let (imports, exports) = (Vec::new(), vec![export.into()]);
                let (bytes, created_at) = (bytes.len() as u64, now());
                let compiled = Compiled::Ready;
                let view = ComponentView {
                    digest,
                    kind,
                    bytes,
                    imports,
                    exports,
                    created_at,
                    compiled,
                    compiled_bytes: Some(4_096),
                    compile_ms: Some(0),
                };
                (view, guest)
            });
            Stored { item: view.clone(), created }
        })
    }

    async fn check_component(&self, wasm: ByteStream) -> Result<ComponentCheck, Error> {
        let bytes = gather(wasm, u64::MAX, &Error::Internal).await?;
        let read = guest::read(&bytes);
        let refused = |why: &str| Error::ComponentRefused { reason: why.into() };
        let found = read.as_ref().ok().map(|guest| kind_of(*guest));
        self.with(|_| ComponentCheck {
            digest: ComponentDigest::from_sha256(Sha256::digest(&bytes).into()),
            kind: found.map(|(kind, _)| kind),
            bytes: bytes.len() as u64,
            imports: Vec::new(),
            exports: found.map(|(_, export)| export.into()).into_iter().collect(),
            grants: Vec::new(),
            refusal: read.err().map(|why| ComponentRefusal::from(&refused(why))),
        })
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        let found = self.with(|disk| disk.components.get(&digest).map(|(view, _)| view.clone()))?;
        found.ok_or(Error::UnknownComponent(digest))
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.with(|disk| {
            let all = &disk.components;
            let (keys, next_cursor) = page(all, cursor, 0, |(view, _)| Some(view.digest))?;
            Ok(Page { items: keys.iter().map(|key| all[key].0.clone()).collect(), next_cursor })
        })?
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        self.with(|disk| {
            if Self::uses(disk, digest) {
                return Err(Conflict::InUse.into());
            }
            let removed = disk.components.remove(&digest);
            removed.map(drop).ok_or(Error::UnknownComponent(digest))
        })?
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let digest = ConfigDigest::from_sha256(Sha256::digest(values.canonical_bytes()).into());
        self.with(|disk| {
            let created = !disk.configs.contains_key(&digest);
            let view = ConfigView { digest, values, created_at: now() };
            Stored { item: disk.configs.entry(digest).or_insert(view).clone(), created }
        })
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        let found = self.with(|disk| disk.configs.get(&digest).cloned())?;
        found.ok_or(Error::UnknownConfig(digest))
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.with(|disk| {
            let all = &disk.configs;
            let (keys, next_cursor) = page(all, cursor, 0, |view| Some(view.digest))?;
            Ok(Page { items: keys.iter().map(|key| all[key].clone()).collect(), next_cursor })
        })?
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        self.with(|disk| {
            let used = disk.workers.values().any(|row| {
                let previous = row.previous.and_then(|version| version.config);
                row.spec.config == Some(digest) || previous == Some(digest)
            });
            if used {
                return Err(Conflict::InUse.into());
            }
            disk.configs.remove(&digest).map(drop).ok_or(Error::UnknownConfig(digest))
        })?
    }
}
