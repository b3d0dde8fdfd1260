//! The groups of requests that are running, each in an instance of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_sandbox::{GroupCall, RequestGroup};

/// The groups of one guest that are running.
#[derive(Default)]
pub(crate) struct Groups(Mutex<GroupList>);

#[derive(Default)]
struct GroupList {
    all: Vec<Arc<RequestGroup>>,
    is_closed: bool,
}

impl Groups {
    /// Adds a request to the first group that takes it, so that the others run out of requests.
    ///
    /// # Errors
    /// If none does.
    pub(crate) fn join(&self, call: GroupCall) -> Result<(), Box<GroupCall>> {
        let list = self.list();
        let mut call = Box::new(call);
        for group in &list.all {
            match group.join(*call) {
                Ok(()) => return Ok(()),
                Err(refused) => call = refused,
            }
        }
        Err(call)
    }

    /// Adds a group. Nothing joins it after [`close`](Self::close).
    pub(crate) fn add(&self, group: &Arc<RequestGroup>) {
        let mut list = self.list();
        if list.is_closed {
            group.close();
        }
        list.all.push(group.clone());
    }

    pub(crate) fn remove(&self, group: &Arc<RequestGroup>) {
        self.list().all.retain(|other| !Arc::ptr_eq(other, group));
    }

    /// Lets nothing join the groups from now on.
    pub(crate) fn close(&self) {
        let mut list = self.list();
        list.is_closed = true;
        for group in &list.all {
            group.close();
        }
    }

    fn list(&self) -> MutexGuard<'_, GroupList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
