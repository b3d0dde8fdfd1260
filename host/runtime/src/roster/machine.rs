//! What a worker may do next: the decisions of its life over plain data, without a clock, a disk or
//! a task.
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
//! One input is taken at a time, in the order of acceptance, and only one that is on disk or held
//! for the commit that its own turn ends with. A person's commands come before the next input.

use std::collections::VecDeque;

use skep_protocol::{Cursor, Desired, InputId, LimitName, Limits};
use skep_store::record::Standing;

/// One worker's queue and standing.
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

/// An input that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) id: InputId,
    pub(crate) bytes: u64,
    /// Attempts that are on disk, or will be with its acceptance.
    pub(crate) attempt: u32,
    /// An attempt was begun by a host that is no more.
    pub(crate) interrupted: bool,
    pub(crate) place: Place,
}

/// How far an input's acceptance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its turn runs ahead of its acceptance: both are to be one commit.
    Held,
    /// On its way to the disk.
    Submitted,
    /// On disk, there.
    Accepted(Cursor),
}

/// How an admitted input goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Its turn begins at once and its acceptance waits for that.
    Held,
    /// It has to be submitted; its turn begins when it is accepted.
    First,
    /// It has to be submitted, and waits for others.
    Behind,
}

/// Why an input is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A person stopped the worker, or is about to.
    Stopped,
    /// It runs no more.
    Failed,
    /// The host is going down.
    Closing,
    /// It has as many inputs waiting as it may.
    Full(LimitName),
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Carries out a person's command.
    Command,
    /// Takes the first input.
    Take,
    /// Nothing, until something changes.
    Rest,
    /// Lets go of the instance and ends.
    Leave,
}

/// What a cancellation finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It waits on disk and is taken out of the queue by the driver.
    Queued,
    /// Its turn runs.
    Running,
    /// It is on its way to the disk.
    Submitted,
    /// It is not here: ended, or never accepted.
    Nowhere,
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

    /// Whether an input of this size may come in, and how. The caller enqueues it at once.
    pub(crate) fn admit(
        &self,
        bytes: u64,
        may_hold: bool,
        limits: &Limits,
    ) -> Result<Admitted, Refused> {
        if self.closing {
            return Err(Refused::Closing);
        }
        match self.standing {
            Standing::Failed(_) => return Err(Refused::Failed),
            Standing::Idle | Standing::Exited(_) | Standing::Stopped => {}
        }
        if self.desired == Desired::Stopped {
            return Err(Refused::Stopped);
        }
        if self.queue.len() as u64 >= limits.mailbox_inputs {
            return Err(Refused::Full(LimitName::mailbox_inputs));
        }
        if self.bytes.saturating_add(bytes) > limits.mailbox_bytes {
            return Err(Refused::Full(LimitName::mailbox_bytes));
        }
        let first = self.queue.is_empty() && self.commands == 0;
        Ok(match first {
            true if may_hold => Admitted::Held,
            true => Admitted::First,
            false => Admitted::Behind,
        })
    }

    /// Puts an admitted input into the queue.
    pub(crate) fn enqueue(&mut self, id: InputId, bytes: u64, admitted: Admitted) {
        let (attempt, place) = match admitted {
            Admitted::Held => (1, Place::Held),
            Admitted::First => (1, Place::Submitted),
            Admitted::Behind => (0, Place::Submitted),
        };
        self.bytes += bytes;
        self.queue.push_back(Queued { id, bytes, attempt, interrupted: false, place });
    }

    /// Whether a turn runs whose input is neither on disk nor on its way there: what comes after it
    /// must not be there before it.
    pub(crate) fn is_ahead(&self) -> bool {
        self.running && self.queue.front().is_some_and(|first| first.place == Place::Held)
    }

    /// The first input, if it was to be taken at once and was not: it has to be submitted now.
    pub(crate) fn submit_held(&mut self) -> Option<InputId> {
        let first = self.queue.front_mut().filter(|first| first.place == Place::Held)?;
        if self.running {
            return None;
        }
        first.place = Place::Submitted;
        Some(first.id)
    }

    /// An input's acceptance is on disk.
    pub(crate) fn accept(&mut self, id: InputId, seq: Cursor) {
        if let Some(queued) = self.find(id) {
            queued.place = Place::Accepted(seq);
        }
    }

    /// An input was not accepted, or ended without a turn: it leaves the queue.
    pub(crate) fn drop_queued(&mut self, id: InputId) {
        if let Some(at) = self.queue.iter().position(|queued| queued.id == id)
            && let Some(queued) = self.queue.remove(at)
        {
            self.bytes -= queued.bytes;
            self.running &= at != 0;
        }
    }

    /// What the driver does next.
    pub(crate) fn next(&self) -> Next {
        if self.closing {
            return Next::Leave;
        }
        if self.commands > 0 {
            return Next::Command;
        }
        let able =
            self.desired == Desired::Running && !matches!(self.standing, Standing::Failed(_));
        match self.queue.front() {
            Some(first) if able && first.place != Place::Submitted => Next::Take,
            _ => Next::Rest,
        }
    }

    /// Begins the turn of the first input.
    pub(crate) fn take(&mut self) -> Option<Queued> {
        let first = self.queue.front().cloned()?;
        self.running = true;
        Some(first)
    }

    /// The next input whose attempt can begin with the commit that ends the running turn.
    pub(crate) fn successor(&self) -> Option<InputId> {
        let able = !self.closing && self.commands == 0 && self.desired == Desired::Running;
        let second = self.queue.get(1).filter(|_| able && self.running)?;
        (matches!(second.place, Place::Accepted(_)) && second.attempt == 0).then_some(second.id)
    }

    /// An attempt at an input is on disk.
    pub(crate) fn begun(&mut self, id: InputId, attempt: u32) {
        if let Some(queued) = self.find(id) {
            queued.attempt = attempt;
            queued.interrupted = false;
        }
    }

    /// The running turn's end is on disk: its input leaves.
    pub(crate) fn settle(&mut self) {
        if self.running
            && let Some(first) = self.queue.pop_front()
        {
            self.bytes -= first.bytes;
        }
        self.running = false;
    }

    /// The running turn's end could not be put on disk, or the host goes down in it. The input is
    /// accepted and stays, as one whose attempt was interrupted.
    pub(crate) fn interrupt(&mut self) {
        if self.running
            && let Some(first) = self.queue.front_mut()
        {
            first.interrupted = true;
        }
        self.running = false;
    }

    /// The attempt that was to run could not be put on disk: its input is the first again.
    pub(crate) fn put_back(&mut self, interrupted: bool) {
        if self.running
            && let Some(first) = self.queue.front_mut()
        {
            first.interrupted = interrupted;
        }
        self.running = false;
    }

    /// A cancelled input whose end could not be put on disk comes back to its place.
    pub(crate) fn restore(&mut self, queued: Queued) {
        let seq = |queued: &Queued| match queued.place {
            Place::Accepted(seq) => seq,
            Place::Held | Place::Submitted => Cursor(u64::MAX),
        };
        let at = self.queue.iter().position(|other| seq(other) > seq(&queued));
        self.bytes += queued.bytes;
        // The running one keeps the front.
        let at = at.unwrap_or(self.queue.len()).max(usize::from(self.running));
        self.queue.insert(at, queued);
    }

    /// The worker was removed.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
        self.running = false;
        self.desired = Desired::Stopped;
    }

    /// Where an input is that someone wants cancelled.
    pub(crate) fn locate(&self, id: InputId) -> Found {
        match self.queue.iter().position(|queued| queued.id == id) {
            None => Found::Nowhere,
            Some(0) if self.running => Found::Running,
            Some(at) => match self.queue[at].place {
                Place::Accepted(_) => Found::Queued,
                Place::Held | Place::Submitted => Found::Submitted,
            },
        }
    }

    /// A person's command waits for the driver.
    pub(crate) fn command_waits(&mut self) {
        self.commands += 1;
    }

    /// It was carried out, or could not be.
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

    /// Whether the first input's attempt is under way, or there is none.
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
mod tests;
