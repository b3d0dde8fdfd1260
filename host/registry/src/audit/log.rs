//! The audit of `registry.db`. One thread writes; records that are pending together share one
//! commit.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior};
use skep_protocol::Error;
use tokio::sync::oneshot;

use super::{Audit, AuditRecord, add};
use crate::RegistryError;
use crate::database::RegistryDatabase;

/// Maximum number of records per commit.
const BATCH: usize = 256;

struct PendingRecord {
    record: AuditRecord,
    done: oneshot::Sender<Result<(), RegistryError>>,
}

/// The audit in `registry.db`.
pub(crate) struct AuditLog {
    sender: Mutex<Option<Sender<PendingRecord>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    pub(crate) fn open(database: &RegistryDatabase) -> Result<Self, RegistryError> {
        let connection = database.writer()?;
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("skep-audit".into());
        let thread = thread.spawn(move || write(connection, &receiver));
        let thread = thread.map_err(|_| RegistryError::Io)?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Writes the pending records, then stops.
    pub(crate) fn close(&self) {
        let lock = "the critical section does not panic";
        drop(self.sender.lock().expect(lock).take());
        let thread = self.thread.lock().expect(lock).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit thread panicked");
        }
    }
}

#[async_trait]
impl Audit for AuditLog {
    async fn record(&self, record: AuditRecord) -> Result<(), Error> {
        let (done, written) = oneshot::channel();
        let sent = {
            let sender = self.sender.lock().expect("the critical section does not panic");
            sender
                .as_ref()
                .is_some_and(|sender| sender.send(PendingRecord { record, done }).is_ok())
        };
        if !sent {
            return Err(Error::Internal);
        }
        Ok(written.await.map_err(|_| Error::Internal)??)
    }
}

fn write(mut connection: Connection, receiver: &Receiver<PendingRecord>) {
    while let Ok(first) = receiver.recv() {
        let mut batch = vec![first];
        batch.extend(receiver.try_iter().take(BATCH - 1));
        let result = commit(&mut connection, &batch);
        for waiting in batch {
            // A caller that stopped waiting still has its record written.
            let _gone = waiting.done.send(result.clone());
        }
    }
}

fn commit(connection: &mut Connection, batch: &[PendingRecord]) -> Result<(), RegistryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for waiting in batch {
        add(&transaction, &waiting.record)?;
    }
    Ok(transaction.commit()?)
}
