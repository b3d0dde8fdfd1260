//! The verbs of a remote, each through its circuit breaker.

use std::sync::Arc;

use futures_util::StreamExt;
use skep_protocol::*;

use super::remote::Remote;

/// A remote as a [`skep_protocol::RuntimeHandle`].
pub(crate) struct RemoteHandle(pub(crate) Arc<Remote>);

impl Layer for RemoteHandle {
    async fn pass<A: Send + 'static, T: Answer>(
        &self,
        invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let mut answer = self.0.call(|runtime| invocation.forward(runtime)).await?;
        if let Some(view) = answer.description() {
            *view = self.0.described(view.clone())?;
        }
        for view in answer.workers() {
            self.0.check_owner(view)?;
        }
        let remote = Arc::clone(&self.0);
        Ok(answer.map_changes(|changes| {
            let checked = move |event: Result<RuntimeEvent, Error>| {
                remote.record_result(event.as_ref().err());
                let event = event?;
                if let RuntimeEvent::Change(Change { worker: Some(view), .. }) = &event {
                    remote.check_owner(view)?;
                }
                Ok(event)
            };
            changes.map(checked).boxed()
        }))
    }
}
