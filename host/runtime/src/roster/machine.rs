//! The state machine of one worker: pure decisions over plain data, without clock, disk or task.
//!
//! ```text
//!              admit                     take                  settle
//!   (caller) ---------> queue (FIFO) ----------> running ---------------> gone
//!                 |        ^   |                    |
//!          Held / Submitted|   | drop_queued        | interrupt (storage failed, host goes down)
//!                 |  accept|   v                    v
//!                 +--> Accepted   gone           back at the front, accepted
//! ```
//!
//! Inputs are taken one at a time, in order of acceptance. An input can be taken once it is on
//! disk, or while it is held for the commit that ends its own turn. Commands take priority over
//! inputs.

use std::collections::VecDeque;

use skep_protocol::{Cursor, Desired, InputId, LimitName, Limits};
use skep_store::record::Standing;

/// The queue and the standing of one worker.
#[derive(Debug)]
pub(crate) struct Machine {
    desired: Desired,
    standing: Standing,
    queue: VecDeque<Queued>,
    bytes: u64,
    running: bool,
    commands: usize,
    closing: bool,
}

/// An unfinished input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) id: InputId,
    pub(crate) bytes: u64,
    /// Attempts recorded on disk, including one recorded with the acceptance.
    pub(crate) attempt: u32,
    /// True if the host went down, or the commit failed, during an attempt.
    pub(crate) interrupted: bool,
    pub(crate) stage: QueueStage,
}

/// The progress of an input's acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueStage {
    /// Its turn runs before its acceptance is written; one commit covers both.
    Held,
    /// Submitted to the store.
    Submitted,
    /// On disk at this position.
    Accepted(Cursor),
}

/// The way an admitted input proceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmittedAs {
    /// Its turn begins at once and commits the acceptance.
    Held,
    /// Must be submitted; its turn begins once it is accepted.
    First,
    /// Must be submitted, and waits behind other inputs.
    Behind,
}

/// The reason why an input is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmitError {
    /// The worker is stopped or about to stop.
    Stopped,
    /// The worker has failed.
    Failed,
    /// The host is shutting down.
    Closing,
    /// The mailbox has reached this limit.
    Full(LimitName),
}

/// The next action of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Carry out a queued command.
    Command,
    /// Take the first input.
    Take,
    /// Wait until something changes.
    Idle,
    /// Shut down the instance and exit.
    Exit,
}

/// The position of an input that is to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputLocation {
    /// Accepted and waiting; it can be removed from the queue.
    Queued,
    /// Its turn is running.
    Running,
    /// Submitted to the store.
    Submitted,
    /// Not in the queue: ended or never accepted.
    Absent,
}

impl Machine {
    pub(crate) fn new(desired: Desired, standing: Standing, queue: Vec<Queued>) -> Self {
        let bytes = queue.iter().map(|queued| queued.bytes).sum();
        Self {
            desired,
            standing,
            queue: queue.into(),
            bytes,
            running: false,
            commands: 0,
            closing: false,
        }
    }

    /// Decides if and how an input of this size is admitted. The caller must enqueue it at once.
    pub(crate) fn admit(
        &self,
        bytes: u64,
        may_hold: bool,
        limits: &Limits,
    ) -> Result<AdmittedAs, AdmitError> {
        if self.closing {
            return Err(AdmitError::Closing);
        }
        match self.standing {
            Standing::Failed(_) => return Err(AdmitError::Failed),
            Standing::Idle | Standing::Exited(_) | Standing::Stopped => {}
        }
        if self.desired == Desired::Stopped {
            return Err(AdmitError::Stopped);
        }
        if self.queue.len() as u64 >= limits.mailbox_inputs {
            return Err(AdmitError::Full(LimitName::mailbox_inputs));
        }
        if self.bytes.saturating_add(bytes) > limits.mailbox_bytes {
            return Err(AdmitError::Full(LimitName::mailbox_bytes));
        }
        let first = self.queue.is_empty() && self.commands == 0;
        Ok(match first {
            true if may_hold => AdmittedAs::Held,
            true => AdmittedAs::First,
            false => AdmittedAs::Behind,
        })
    }

    /// Appends an admitted input to the queue.
    pub(crate) fn enqueue(&mut self, id: InputId, bytes: u64, admitted: AdmittedAs) {
        let (attempt, stage) = match admitted {
            AdmittedAs::Held => (1, QueueStage::Held),
            AdmittedAs::First => (1, QueueStage::Submitted),
            AdmittedAs::Behind => (0, QueueStage::Submitted),
        };
        self.bytes += bytes;
        self.queue.push_back(Queued { id, bytes, attempt, interrupted: false, stage });
    }

    /// Returns true if a turn is running whose input has not been submitted. Later inputs must not
    /// reach the disk before it.
    pub(crate) fn is_ahead(&self) -> bool {
        self.running && self.queue.front().is_some_and(|first| first.stage == QueueStage::Held)
    }

    /// Returns the first input if it is held but its turn has not begun; it must be submitted now.
    pub(crate) fn submit_held(&mut self) -> Option<InputId> {
        let first = self.queue.front_mut().filter(|first| first.stage == QueueStage::Held)?;
        if self.running {
            return None;
        }
        first.stage = QueueStage::Submitted;
        Some(first.id)
    }

    /// Records that an input's acceptance is on disk.
    pub(crate) fn accept(&mut self, id: InputId, seq: Cursor) {
        if let Some(queued) = self.find(id) {
            queued.stage = QueueStage::Accepted(seq);
        }
    }

    /// Removes an input that was not accepted, or that ended without a turn.
    pub(crate) fn drop_queued(&mut self, id: InputId) {
        if let Some(at) = self.queue.iter().position(|queued| queued.id == id)
            && let Some(queued) = self.queue.remove(at)
        {
            self.bytes -= queued.bytes;
            self.running &= at != 0;
        }
    }

    /// Returns the next action of the driver.
    pub(crate) fn next(&self) -> NextStep {
        if self.closing {
            return NextStep::Exit;
        }
        if self.commands > 0 {
            return NextStep::Command;
        }
        let is_runnable =
            self.desired == Desired::Running && !matches!(self.standing, Standing::Failed(_));
        match self.queue.front() {
            Some(first) if is_runnable && first.stage != QueueStage::Submitted => NextStep::Take,
            _ => NextStep::Idle,
        }
    }

    /// Begins the turn of the first input.
    pub(crate) fn take(&mut self) -> Option<Queued> {
        let first = self.queue.front().cloned()?;
        self.running = true;
        Some(first)
    }

    /// Returns the next input if its attempt can begin with the commit that ends the running turn.
    pub(crate) fn successor(&self) -> Option<InputId> {
        let is_runnable = !self.closing && self.commands == 0 && self.desired == Desired::Running;
        let second = self.queue.get(1).filter(|_| is_runnable && self.running)?;
        (matches!(second.stage, QueueStage::Accepted(_)) && second.attempt == 0)
            .then_some(second.id)
    }

    /// Records that an attempt at an input is on disk.
    pub(crate) fn begun(&mut self, id: InputId, attempt: u32) {
        if let Some(queued) = self.find(id) {
            queued.attempt = attempt;
            queued.interrupted = false;
        }
    }

    /// Removes the running input after its end was committed.
    pub(crate) fn settle(&mut self) {
        if self.running
            && let Some(first) = self.queue.pop_front()
        {
            self.bytes -= first.bytes;
        }
        self.running = false;
    }

    /// Ends the running turn without a committed end: the commit failed or the host is going down.
    /// The accepted input stays first and counts as interrupted.
    pub(crate) fn interrupt(&mut self) {
        if self.running
            && let Some(first) = self.queue.front_mut()
        {
            first.interrupted = true;
        }
        self.running = false;
    }

    /// Returns the running input to the queue because its attempt could not be recorded.
    pub(crate) fn put_back(&mut self, interrupted: bool) {
        if self.running
            && let Some(first) = self.queue.front_mut()
        {
            first.interrupted = interrupted;
        }
        self.running = false;
    }

    /// Puts a cancelled input back in its place because its end could not be committed.
    pub(crate) fn restore(&mut self, queued: Queued) {
        let seq = |queued: &Queued| match queued.stage {
            QueueStage::Accepted(seq) => seq,
            QueueStage::Held | QueueStage::Submitted => Cursor(u64::MAX),
        };
        let at = self.queue.iter().position(|other| seq(other) > seq(&queued));
        self.bytes += queued.bytes;
        // The running input stays first.
        let at = at.unwrap_or(self.queue.len()).max(usize::from(self.running));
        self.queue.insert(at, queued);
    }

    /// Empties the queue of a removed worker.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
        self.running = false;
        self.desired = Desired::Stopped;
    }

    /// Locates an input that is to be cancelled.
    pub(crate) fn locate(&self, id: InputId) -> InputLocation {
        match self.queue.iter().position(|queued| queued.id == id) {
            None => InputLocation::Absent,
            Some(0) if self.running => InputLocation::Running,
            Some(at) => match self.queue[at].stage {
                QueueStage::Accepted(_) => InputLocation::Queued,
                QueueStage::Held | QueueStage::Submitted => InputLocation::Submitted,
            },
        }
    }

    /// Counts a queued command.
    pub(crate) fn command_queued(&mut self) {
        self.commands += 1;
    }

    /// Uncounts a command that was carried out or failed.
    pub(crate) fn command_done(&mut self) {
        self.commands = self.commands.saturating_sub(1);
    }

    pub(crate) fn set_desired(&mut self, desired: Desired) {
        self.desired = desired;
    }

    pub(crate) fn set_standing(&mut self, standing: Standing) {
        self.standing = standing;
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Returns true if the first input's attempt is running, or the queue is empty.
    pub(crate) fn is_begun(&self) -> bool {
        self.running || self.queue.is_empty()
    }

    #[cfg(test)]
    fn is_running(&self) -> bool {
        self.running
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn get(&self, id: InputId) -> Option<&Queued> {
        self.queue.iter().find(|queued| queued.id == id)
    }

    fn find(&mut self, id: InputId) -> Option<&mut Queued> {
        self.queue.iter_mut().find(|queued| queued.id == id)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
