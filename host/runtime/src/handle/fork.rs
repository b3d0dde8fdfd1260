//! Copies of workers.

use skep_protocol::{
    Conflict, Cursor, Error, ForkWorker, Stored, WorkerId, WorkerView, Workers as _,
};

use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::random;
use crate::roster::worker::DriverCommand;

impl Embedded {
    pub(super) async fn fork_of(
        &self,
        worker: WorkerId,
        request: ForkWorker,
    ) -> Result<Stored<WorkerView>, Error> {
        if self.0.is_closing() {
            return Err(self.0.busy());
        }
        let origin = self.record(worker)?;
        let id = match request.worker_id {
            Some(id) => id,
            None => WorkerId::new(now().as_millis(), random()?),
        };
        if let Some(existing) = self.existing_fork(worker, id, &request)? {
            return Ok(existing);
        }
        if self.check(&request.spec(&origin.spec))? != origin.kind {
            return Err(Conflict::Kind.into());
        }
        self.command(worker, DriverCommand::Fork(id, Box::new(request))).await?;
        Ok(Stored { item: self.get(id).await?, created: true })
    }

    /// Returns the existing worker if this request repeats an earlier one.
    fn existing_fork(
        &self,
        origin: WorkerId,
        id: WorkerId,
        request: &ForkWorker,
    ) -> Result<Option<Stored<WorkerView>>, Error> {
        let record = match self.record(id) {
            Ok(record) => record,
            Err(Error::UnknownWorker(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let fault = |error| self.0.fault(error);
        let created = self.0.store.entry(record.number, Cursor(1)).map_err(fault)?;
        // A trimmed entry no longer tells.
        let is_copy = created.is_none_or(|entry| entry.label == Some(origin.to_string()));
        if !is_copy || !request.made(&record.created_as) {
            return Err(Conflict::Worker.into());
        }
        let item = self.0.view_of(record).map_err(fault)?;
        Ok(Some(Stored { item, created: false }))
    }
}
