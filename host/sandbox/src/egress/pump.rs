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

/// Forwards a response body to the guest, one chunk at a time.
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
        let ended = self.forward().await;
        let entry = &self.record.0;
        match ended {
            // The guest stopped reading, which is not an error.
            None => entry.finish(None),
            Some(Ok(())) => {
                entry.whole.store(true, Ordering::Release);
                entry.finish(None);
            }
            Some(Err(error)) => {
                entry.finish(Some(fault::code(&error)));
                // If the receiver is gone, no one reads the error.
                let _ = self.frames.send(Err(error)).await;
            }
        }
    }

    /// Returns `None` if the guest stopped reading.
    async fn forward(&mut self) -> Option<Result<(), Error>> {
        let entry = self.record.0.clone();
        loop {
            // Read from the connection only when the channel has room.
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
                    let rest = self.redactor.finish();
                    self.send(rest).await?;
                    return Some(Ok(()));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(bytes) => {
                    // Count here and not in the guest's reader, which may not be polled again
                    // before the end is recorded.
                    let length = bytes.len() as u64;
                    let received = entry.received.fetch_add(length, Ordering::Relaxed) + length;
                    if received > self.limits.http_body_bytes {
                        let limit = self.limits.http_body_bytes;
                        return Some(Err(Error::HttpResponseBodySize(Some(limit))));
                    }
                    let bytes = self.redactor.push(bytes);
                    self.send(bytes).await?;
                }
                Err(frame) => {
                    let Ok(mut trailers) = frame.into_trailers() else { continue };
                    let rest = self.redactor.finish();
                    self.send(rest).await?;
                    self.redactor.redact(&mut trailers);
                    self.frames.send(Ok(Frame::trailers(trailers))).await.ok()?;
                    return Some(Ok(()));
                }
            }
        }
    }

    /// Sends bytes in chunks of at most `http_chunk_bytes`. Returns `None` if the guest stopped
    /// reading.
    async fn send(&mut self, mut bytes: Bytes) -> Option<()> {
        let most = usize::try_from(self.limits.http_chunk_bytes).unwrap_or(usize::MAX).max(1);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(most.min(bytes.len()));
            self.frames.send(Ok(Frame::data(chunk))).await.ok()?;
        }
        Some(())
    }
}
