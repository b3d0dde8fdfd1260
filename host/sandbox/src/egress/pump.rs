//! The task that forwards a response body to the guest.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use skep_protocol::Limits;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use wasmtime_wasi_http::Error;

use super::fault;
use super::ledger::RecordOnDrop;
use super::redactor::BodyRedactor;
use super::task::AbortOnDrop;

/// Brings an answer's body to the guest.
pub(super) struct ResponsePump {
    pub(super) frames: mpsc::Sender<Result<Frame<Bytes>, Error>>,
    pub(super) incoming: Incoming,
    pub(super) redactor: BodyRedactor,
    pub(super) between: Duration,
    pub(super) limits: Limits,
    pub(super) record: RecordOnDrop,
    pub(super) _connection: AbortOnDrop<()>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl ResponsePump {
    pub(super) async fn run(mut self) {
        let ended = self.carry().await;
        let entry = &self.record.0;
        match ended {
            // Nobody reads it any more, which is no fault.
            None => entry.finish(None),
            Some(Ok(())) => {
                entry.whole.store(true, Ordering::Release);
                entry.finish(None);
            }
            Some(Err(error)) => {
                entry.finish(Some(fault::code(&error)));
                // If nobody hears it, nobody reads.
                let _ = self.frames.send(Err(error)).await;
            }
        }
    }

    /// `None` where the guest has stopped reading.
    async fn carry(&mut self) -> Option<Result<(), Error>> {
        let entry = self.record.0.clone();
        loop {
            // Not before there is room for it.
            drop(self.frames.reserve().await.ok()?);
            let frame = tokio::select! {
                frame = tokio::time::timeout(self.between, self.incoming.frame()) => frame,
                () = self.frames.closed() => return None,
            };
            let frame = match frame {
                Err(_) => return Some(Err(Error::ConnectionReadTimeout)),
                Ok(Some(Err(error))) => {
                    return Some(Err(fault::exchange(&error, self.limits.http_header_bytes)));
                }
                Ok(None) => {
                    let rest = self.redactor.rest();
                    self.give(rest).await?;
                    return Some(Ok(()));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(bytes) => {
                    // Here, and not where the guest reads: what records the end does not wait for
                    // the thread that has just made room.
                    let length = bytes.len() as u64;
                    let received = entry.received.fetch_add(length, Ordering::Relaxed) + length;
                    if received > self.limits.http_body_bytes {
                        let limit = self.limits.http_body_bytes;
                        return Some(Err(Error::HttpResponseBodySize(Some(limit))));
                    }
                    let bytes = self.redactor.pass(bytes);
                    self.give(bytes).await?;
                }
                Err(frame) => {
                    let Ok(mut trailers) = frame.into_trailers() else { continue };
                    let rest = self.redactor.rest();
                    self.give(rest).await?;
                    self.redactor.hide(&mut trailers);
                    self.frames.send(Ok(Frame::trailers(trailers))).await.ok()?;
                    return Some(Ok(()));
                }
            }
        }
    }

    /// A chunk at a time.
    async fn give(&mut self, mut bytes: Bytes) -> Option<()> {
        let most = usize::try_from(self.limits.http_chunk_bytes).unwrap_or(usize::MAX).max(1);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(most.min(bytes.len()));
            self.frames.send(Ok(Frame::data(chunk))).await.ok()?;
        }
        Some(())
    }
}
