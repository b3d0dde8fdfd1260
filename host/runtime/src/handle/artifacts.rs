//! Components and config bundles of an embedded runtime.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use skep_protocol::{
    Artifacts, ByteStream, ComponentCheck, ComponentDigest, ComponentRefusal, ComponentView,
    ConfigDigest, ConfigValues, ConfigView, Conflict, Error, Invalid, LimitName, Limits, Page,
    Role, Stored,
};
use skep_store::record::{ComponentRecord, ConfigRecord, SharedWrite};
use skep_store::{StoreError, StoreRefusal};

use crate::component_check::{MAX_NAMES, describe, shown};
use crate::components::{Prepared, caller_error, refused};
use crate::not_ready::NotReady;
use skep_sandbox::{Shape, Wasi03};

use super::PAGE;
use crate::clock::now;
use crate::embedded::Embedded;

#[async_trait]
impl Artifacts for Embedded {
    /// Stores a component. The preflight refuses invalid ones at once. Only the compilation proves
    /// the rest; if it takes longer than `compile_wait`, the component is stored before the result
    /// is known.
    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        let core = &self.0;
        let limits = Limits::default();
        let wasm = Arc::new(gather(wasm, limits.component_bytes).await?);
        let bytes = wasm.clone();
        let read_limits = limits.for_any_worker();
        let wasi_0_3 = core.components.wasi_0_3();
        let read = tokio::task::spawn_blocking(move || record(&bytes, &read_limits, wasi_0_3));
        let mut record = read.await.unwrap_or(Err(Error::Internal))?;
        record.trusted = by >= Role::Admin;
        let digest = record.digest;
        if let Some(known) = self.stored(&record).await? {
            return Ok(known);
        }
        self.compile(digest, &wasm).await?;
        let storing = core.components.storing.clone().lock_owned().await;
        if let Some(known) = self.stored(&record).await? {
            return Ok(known);
        }
        let writer = core.clone();
        // The task owns the lock, so that it finishes even if the caller disconnects.
        let stored = tokio::task::spawn_blocking(move || {
            let _storing = storing;
            let fault = |error: StoreError| writer.fault(error);
            writer.store.write_component(&wasm).map_err(fault)?;
            let commit = writer.store.submit_shared(SharedWrite::PutComponent(record.clone()));
            commit.wait().map_err(fault)?;
            Ok(Stored { item: writer.components.view(record), created: true })
        });
        stored.await.unwrap_or(Err(Error::Internal))
    }

    /// Examines a component: its headers at once, its code in the compiling child.
    async fn check_component(&self, wasm: ByteStream) -> Result<ComponentCheck, Error> {
        let limits = Limits::default();
        let wasm = Arc::new(gather(wasm, limits.component_bytes).await?);
        let (bytes, limits) = (wasm.clone(), limits.for_any_worker());
        let wasi_0_3 = self.0.components.wasi_0_3();
        let read = tokio::task::spawn_blocking(move || describe(&bytes, &limits, wasi_0_3));
        let mut check = read.await.map_err(|_| Error::Internal)?;
        if check.refusal.is_none() {
            let examined = self.0.components.examine(wasm).await;
            match examined.map_err(|error| caller_error(&error)) {
                Ok(()) => {}
                Err(error @ (Error::ComponentRefused { .. } | Error::LimitExceeded { .. })) => {
                    check.refusal = Some(ComponentRefusal::from(&error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(check)
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        let record = self.0.store.component(&digest).map_err(|error| self.0.fault(error))?;
        record.map(|record| self.0.components.view(record)).ok_or(Error::UnknownComponent(digest))
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        let after = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse::<ComponentDigest>().map_err(|_| Invalid::Cursor)?),
        };
        let components = self.0.components.clone();
        self.read(move |store| {
            let mut records = store.components(after.as_ref(), PAGE + 1)?;
            let more = records.len() > PAGE;
            records.truncate(PAGE);
            let next_cursor = records.last().filter(|_| more).map(|r| r.digest.to_string());
            Ok(Page {
                items: records.into_iter().map(|record| components.view(record)).collect(),
                next_cursor,
            })
        })
        .await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        self.component(digest).await?;
        match self.0.store.submit_shared(SharedWrite::RemoveComponent(digest)).await {
            Ok(_) => {
                self.0.components.forget(&digest);
                Ok(())
            }
            Err(StoreError::Refused(StoreRefusal::InUse)) => Err(Conflict::InUse.into()),
            Err(error) => Err(self.0.fault(error)),
        }
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let hash = Sha256::digest(values.canonical_bytes());
        let digest = ConfigDigest::from_sha256(hash.into());
        let fault = |error| self.0.fault(error);
        if let Some(known) = self.0.store.config(&digest).map_err(fault)? {
            return Ok(Stored { item: config_view(&known), created: false });
        }
        let record = ConfigRecord { digest, values: Arc::new(values), created_at: now() };
        let commit = self.0.store.submit_shared(SharedWrite::PutConfig(record.clone()));
        commit.await.map_err(fault)?;
        Ok(Stored { item: config_view(&record), created: true })
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        let record = self.0.store.config(&digest).map_err(|error| self.0.fault(error))?;
        record.as_ref().map(config_view).ok_or(Error::UnknownConfig(digest))
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        let after = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse::<ConfigDigest>().map_err(|_| Invalid::Cursor)?),
        };
        self.read(move |store| {
            let mut records = store.configs(after.as_ref(), PAGE + 1)?;
            let more = records.len() > PAGE;
            records.truncate(PAGE);
            let next_cursor = records.last().filter(|_| more).map(|r| r.digest.to_string());
            Ok(Page { items: records.iter().map(config_view).collect(), next_cursor })
        })
        .await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        self.config(digest).await?;
        match self.0.store.submit_shared(SharedWrite::RemoveConfig(digest)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Refused(StoreRefusal::InUse)) => Err(Conflict::InUse.into()),
            Err(error) => Err(self.0.fault(error)),
        }
    }
}

impl Embedded {
    /// Compiles a component and waits for up to `compile_wait`.
    async fn compile(&self, digest: ComponentDigest, wasm: &Arc<Vec<u8>>) -> Result<(), Error> {
        let core = &self.0;
        loop {
            let mut prepared = core.components.prepare(digest, wasm);
            let prepared = prepared.wait_for(Option::is_some);
            let Ok(prepared) = tokio::time::timeout(core.options.compile_wait, prepared).await
            else {
                // Another component is still being compiled, or this one takes long. A worker that
                // gets it must not find out in its turns that it cannot run at all.
                let examined = core.components.examine(wasm.clone()).await;
                // Another failure means that this host cannot tell now.
                let refused = examined.err().filter(NotReady::is_final);
                return refused.map_or(Ok(()), |error| Err(caller_error(&error)));
            };
            // The sender is only dropped while the host shuts down.
            match prepared.map_err(|_| core.busy())?.as_ref() {
                Some(Prepared::Ready) | None => return Ok(()),
                Some(Prepared::Failed(error)) => return Err(error.clone()),
                Some(Prepared::Abandoned) => {}
            }
        }
    }

    /// Returns the stored component if it exists. Marks it as trusted if this upload is trusted.
    async fn stored(
        &self,
        again: &ComponentRecord,
    ) -> Result<Option<Stored<ComponentView>>, Error> {
        let fault = |error: StoreError| self.0.fault(error);
        let Some(known) = self.0.store.component(&again.digest).map_err(fault)? else {
            return Ok(None);
        };
        if again.trusted && !known.trusted {
            let put = SharedWrite::PutComponent(again.clone());
            self.0.store.submit_shared(put).await.map_err(fault)?;
        }
        Ok(Some(Stored { item: self.0.components.view(known), created: false }))
    }
}

/// Collects a stream into memory, up to a limit.
async fn gather(mut wasm: ByteStream, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = wasm.next().await {
        let chunk = chunk?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(Error::LimitExceeded { name: LimitName::component_bytes, limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Checks that a component can run here and describes it.
fn record(wasm: &[u8], limits: &Limits, wasi_0_3: Wasi03) -> Result<ComponentRecord, Error> {
    let shape = Shape::read(wasm, limits).map_err(|error| refused(&error))?;
    let kind = shape.check(limits, wasi_0_3).map_err(|error| refused(&error))?;
    Ok(ComponentRecord {
        digest: shape.digest,
        kind,
        bytes: wasm.len() as u64,
        imports: shape.imports.iter().take(MAX_NAMES).map(|import| shown(&import.name)).collect(),
        exports: shape.exports.iter().take(MAX_NAMES).map(|name| shown(name)).collect(),
        created_at: now(),
        trusted: false,
    })
}

fn config_view(record: &ConfigRecord) -> ConfigView {
    let values = ConfigValues::clone(&record.values);
    ConfigView { digest: record.digest, values, created_at: record.created_at }
}
