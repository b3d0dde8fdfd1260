//! The requests that one guest of WASI 0.3 handles at once.
//!
//! The engine cannot cancel one task of a guest. A request that is given up leaves its task in the
//! instance, where it may wait, or end by itself. As soon as it computes for long, the instance ends,
//! with the requests that are still in it: a client that leaves must not leave a spinning guest behind.
//!
//! The tasks of a guest take turns. While one computes, the others stand still, so that further
//! requests go to another instance.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use skep_protocol::LimitName;
use wasmtime::component::GuestTaskId;

use super::answer::PendingAnswer;
use super::group_call::{BegunCall, CallDone, GroupCall};
use crate::limits::kill::{KillReason, KillSwitch};
use crate::limits::past::PastLimit;

/// CPU time that the task of a request that was given up may still use.
const GIVEN_UP: Duration = Duration::from_millis(5);

/// Requests that may be given up before the instance takes no more. Each may have left a task that waits
/// for ever.
const MOST_GIVEN_UP: u32 = 16;

/// CPU time that a task may still use when its answer has ended.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// The requests that one guest handles at once, from the first until none is left.
pub struct RequestGroup {
    state: Mutex<GroupState>,
    growth_bytes: u64,
}

/// The bounds of a group.
#[derive(Clone, Copy, Debug)]
pub struct GroupBounds {
    /// Requests that the instance may still handle.
    pub requests: u32,
    /// Memory of the instance after its first request, in bytes; 0 before.
    pub first_bytes: u64,
    /// Memory by which the instance may grow after that, in bytes.
    pub growth_bytes: u64,
}

struct GroupState {
    waiting: VecDeque<GroupCall>,
    running: Vec<RunningCall>,
    /// The tasks of requests that have ended, which may still run.
    left: Vec<LeftTask>,
    next: u64,
    requests_left: u32,
    given_up: u32,
    first_bytes: u64,
    is_open: bool,
    /// True while the guest is polled, or is about to be.
    computes: bool,
    /// False until there is an instance.
    has_instance: bool,
    /// True if the guest gave way to other guests since it was last polled.
    has_yielded: bool,
    /// The task that ended the instance, if it is known.
    culprit: Option<Culprit>,
    /// Wakes the task that polls the guest. None while the guest is blocked in a call of WASI 0.2.
    waker: Option<Waker>,
}

struct RunningCall {
    id: CallId,
    task: GuestTaskId,
    call: BegunCall,
    answer: PendingAnswer,
    /// CPU time since the head of its answer.
    after_head: Duration,
    /// CPU time since it was given up.
    overtime: Duration,
    /// True if it was given up while another task ran, so it is not the one that blocks the guest.
    is_innocent: bool,
}

/// The id of a request in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallId(u64);

struct LeftTask {
    task: GuestTaskId,
    left: Duration,
}

/// The task that ended an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Culprit {
    Running(CallId),
    /// That of a request that had ended before.
    Left,
}

impl RequestGroup {
    /// Creates a group with its first request.
    pub fn new(first: GroupCall, bounds: GroupBounds) -> Self {
        let GroupBounds { requests, first_bytes, growth_bytes } = bounds;
        let requests_left = requests.saturating_sub(1);
        let state = GroupState {
            waiting: VecDeque::from([first]),
            running: Vec::new(),
            left: Vec::new(),
            next: 0,
            requests_left,
            given_up: 0,
            first_bytes,
            is_open: requests_left > 0,
            computes: false,
            has_instance: false,
            has_yielded: false,
            culprit: None,
            waker: None,
        };
        Self { state: Mutex::new(state), growth_bytes }
    }

    /// Adds a request.
    ///
    /// # Errors
    /// If the group takes no request now. It goes to another group.
    pub fn join(&self, call: GroupCall) -> Result<(), Box<GroupCall>> {
        let mut state = self.state();
        let is_blocked = state.has_instance && state.waker.is_none();
        if !state.is_open || state.computes || is_blocked {
            return Err(Box::new(call));
        }
        state.requests_left -= 1;
        state.is_open = state.requests_left > 0;
        state.waiting.push_back(call);
        if let Some(waker) = state.waker.take() {
            // The guest may compute for this one. That is known when it waits.
            state.computes = true;
            drop(state);
            waker.wake();
        }
        Ok(())
    }

    /// Takes no more requests. Those in it go on.
    pub fn close(&self) {
        self.state().is_open = false;
    }

    /// Returns the bounds for the next group of the instance.
    pub fn bounds_left(&self) -> GroupBounds {
        let GroupState { requests_left: requests, first_bytes, .. } = *self.state();
        GroupBounds { requests, first_bytes, growth_bytes: self.growth_bytes }
    }

    /// Makes an instance for the group. Throws `kill` if each request was given up meanwhile.
    pub async fn unless_deserted<T>(&self, kill: &KillSwitch, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                let is_deserted = self.state().waiting.iter().all(|call| {
                    call.kill.watch(cx.waker());
                    call.kill.reason().is_some()
                });
                if is_deserted {
                    kill.throw(KillReason::Cancelled);
                }
            }
            polled
        })
        .await
    }

    /// Ends all requests of a group whose instance could not be made.
    pub fn fail(&self, done: &CallDone) {
        let mut state = self.state();
        state.is_open = false;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for call in waiting {
            call.end(done.clone());
        }
    }

    /// Takes the requests that no guest has seen, after their instance has ended.
    pub fn take_waiting(&self) -> impl Iterator<Item = GroupCall> + use<> {
        std::mem::take(&mut self.state().waiting).into_iter()
    }

    /// Records that the guest is about to be polled.
    pub(super) fn polls(&self) {
        let mut state = self.state();
        (state.has_instance, state.computes) = (true, true);
        state.waker = None;
    }

    /// Takes the next request that is not given up. Another one wakes the task.
    pub(super) fn next(&self, cx: &mut Context<'_>) -> Option<GroupCall> {
        loop {
            let mut state = self.state();
            state.waker = Some(cx.waker().clone());
            let call = state.waiting.pop_front()?;
            drop(state);
            match call.kill.reason() {
                None => return Some(call),
                Some(reason) => call.end(CallDone::without_cost(Some(Err(reason.into())))),
            }
        }
    }

    /// Ends the group if it has no requests. Nothing joins it afterwards.
    pub(super) fn end_if_empty(&self) -> bool {
        let mut state = self.state();
        let is_empty = state.waiting.is_empty() && state.running.is_empty();
        if is_empty {
            state.is_open = false;
        }
        is_empty
    }

    /// Records that a task of the guest has begun to handle a request.
    pub(super) fn begun(
        &self,
        task: GuestTaskId,
        call: BegunCall,
        answer: PendingAnswer,
    ) -> CallId {
        let mut state = self.state();
        let id = CallId(state.next);
        state.next += 1;
        // The engine gives the ids of ended tasks to new ones.
        state.left.retain(|left| left.task != task);
        state.running.push(RunningCall {
            id,
            task,
            call,
            answer,
            after_head: Duration::ZERO,
            overtime: Duration::ZERO,
            is_innocent: false,
        });
        id
    }

    /// Records the end of a request. `memory_bytes` is what the instance has now.
    pub(super) fn ended(&self, id: CallId, done: CallDone, memory_bytes: u64) {
        let mut state = self.state();
        let Some(at) = state.running.iter().position(|running| running.id == id) else { return };
        let RunningCall { task, call, .. } = state.running.swap_remove(at);
        let is_whole = matches!(done.ended, Some(Ok(()))) && call.kill.reason().is_none();
        let left = if is_whole { AFTERWARDS } else { GIVEN_UP };
        state.left.push(LeftTask { task, left });
        if state.first_bytes == 0 {
            state.first_bytes = memory_bytes;
        }
        state.given_up += u32::from(!is_whole);
        let has_given_up = state.given_up >= MOST_GIVEN_UP;
        if has_given_up || memory_bytes.saturating_sub(state.first_bytes) > self.growth_bytes {
            state.is_open = false;
        }
        drop(state);
        call.end(done);
    }

    /// Ends the requests that ran in an instance that has ended.
    pub(crate) fn broken(&self, done: CallDone) {
        let mut state = self.state();
        state.is_open = false;
        let (culprit, running) = (state.culprit, std::mem::take(&mut state.running));
        drop(state);
        let mut rest = Some(done.clone());
        for RunningCall { id, call, .. } in running {
            let ended = match (call.kill.reason(), culprit) {
                (_, Some(Culprit::Running(culprit))) if culprit == id => done.ended.clone(),
                (Some(reason), _) => Some(Err(reason.into())),
                // Which of them it was is not known.
                (None, None) => done.ended.clone(),
                (None, Some(_)) => None,
            };
            // The cost is counted once.
            let cost = rest.take().map(|done| CallDone { ended: ended.clone(), ..done });
            call.end(cost.unwrap_or(CallDone::without_cost(ended)));
        }
    }

    /// Counts the CPU time of the tasks that run now, the innermost first: the engine calls this at
    /// each tick of a guest that computes.
    ///
    /// # Errors
    /// If the instance has to end, since it computes for a request that was given up, or for one that has
    /// used more than `most` since the head of its answer.
    pub(crate) fn tick(
        &self,
        tasks: &[GuestTaskId],
        used: Duration,
        yields: bool,
        most: Duration,
    ) -> wasmtime::Result<()> {
        let mut state = self.state();
        state.has_yielded |= yields;
        if let Some(left) = state.left.iter_mut().find(|left| tasks.contains(&left.task)) {
            left.left = left.left.saturating_sub(used);
            if left.left.is_zero() {
                state.culprit = Some(Culprit::Left);
                return Err(KillReason::Cancelled.into());
            }
        }
        for running in &mut state.running {
            let runs = tasks.contains(&running.task);
            if runs && running.answer.is_sent() {
                running.after_head += used;
                if running.after_head > most {
                    state.culprit = Some(Culprit::Running(running.id));
                    return Err(PastLimit(LimitName::http_cpu_ms).into());
                }
            }
            match running.call.kill.reason() {
                None => {}
                Some(_) if !runs => running.is_innocent = true,
                Some(reason) => {
                    running.overtime += used;
                    if running.overtime >= GIVEN_UP {
                        state.culprit = Some(Culprit::Running(running.id));
                        return Err(reason.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Records that the guest is waiting. Returns the reason why a request was given up, if the guest
    /// has not noticed: it may be this one's task that blocks it, in a call that no other task
    /// overtakes.
    pub(super) fn waits(&self) -> Option<KillReason> {
        let mut state = self.state();
        let has_yielded = std::mem::take(&mut state.has_yielded);
        state.computes &= has_yielded;
        if has_yielded {
            return None;
        }
        let mut given_up = state.running.iter().filter(|running| !running.is_innocent);
        given_up.find_map(|running| running.call.kill.reason())
    }

    /// Blames those that were given up for a guest that is blocked.
    pub(super) fn blame(&self) {
        self.state().culprit = Some(Culprit::Left);
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Empty;
    use tokio::sync::oneshot;

    use super::*;
    use crate::outcome::Ended;

    fn call(ended: &Arc<AtomicU32>) -> GroupCall {
        let ended = ended.clone();
        let done = move |_| {
            ended.fetch_add(1, Ordering::Relaxed);
        };
        let request = Request::new(Empty::<Bytes>::new());
        GroupCall::new(request, oneshot::channel().0, Arc::default(), done)
    }

    fn group(requests: u32, ended: &Arc<AtomicU32>) -> RequestGroup {
        let bounds = GroupBounds { requests, first_bytes: 0, growth_bytes: 0 };
        RequestGroup::new(call(ended), bounds)
    }

    #[test]
    fn a_group_takes_so_many_requests_and_none_when_closed() {
        let ended = Arc::default();
        let few = group(3, &ended);
        assert!(few.join(call(&ended)).is_ok() && few.join(call(&ended)).is_ok());
        assert!(few.join(call(&ended)).is_err());
        assert_eq!(few.bounds_left().requests, 0);
        let closed = group(3, &ended);
        closed.close();
        assert!(closed.join(call(&ended)).is_err());
        let done = CallDone::without_cost(Some(Err(Ended::Cancelled)));
        few.fail(&done);
        assert_eq!(ended.load(Ordering::Relaxed), 3, "each has its end");
    }

    #[test]
    fn a_guest_that_computes_or_is_blocked_gets_no_further_request() {
        let ended = Arc::default();
        let group = group(100, &ended);
        let mut cx = Context::from_waker(Waker::noop());
        group.polls();
        assert!(group.next(&mut cx).is_some() && group.next(&mut cx).is_none());
        assert!(group.join(call(&ended)).is_err(), "it computes");
        assert_eq!(group.waits(), None);
        assert!(group.join(call(&ended)).is_ok(), "it waits");
        assert!(group.join(call(&ended)).is_err(), "it may compute for that one");
        // Its task is polled, and the engine polls nothing within its loop.
        group.polls();
        assert_eq!(group.waits(), None);
        assert!(group.join(call(&ended)).is_err(), "it is blocked");
        group.polls();
        assert!(group.next(&mut cx).is_some() && group.next(&mut cx).is_none());
        group.waits();
        assert!(group.join(call(&ended)).is_ok(), "it goes on");
        assert!(!group.end_if_empty() && group.next(&mut cx).is_some() && group.end_if_empty());
        group.waits();
        assert!(group.join(call(&ended)).is_err(), "it has ended");
    }

    #[test]
    fn a_request_that_was_given_up_does_not_reach_the_guest() {
        let ended = Arc::default();
        let first = call(&ended);
        first.kill.throw(KillReason::Cancelled);
        let bounds = GroupBounds { requests: 1, first_bytes: 0, growth_bytes: 0 };
        let group = RequestGroup::new(first, bounds);
        group.polls();
        assert!(group.next(&mut Context::from_waker(Waker::noop())).is_none());
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }
}
