//! A request that waits for a compilation, and says so on a terminal.

use std::future::Future;
use std::time::Duration;

use skep_client::Client;
use skep_protocol::{Artifacts, Compiled, ComponentDigest};

use super::entry_line::shortened;
use crate::terminal::{self, Spinner};

/// Time between two looks at the component.
const LOOK: Duration = Duration::from_millis(500);

/// Awaits a request. While its component is being compiled, standard error shows for how long, if it
/// is a terminal.
pub(super) async fn shown<T>(
    runtime: &Client,
    component: ComponentDigest,
    request: impl Future<Output = T>,
) -> T {
    if !terminal::stderr_is_terminal() {
        return request.await;
    }
    let mut request = std::pin::pin!(request);
    let mut spinner = None;
    loop {
        let look = async {
            tokio::time::sleep(LOOK).await;
            runtime.component(component).await
        };
        let view = tokio::select! {
            biased;
            done = &mut request => return done,
            view = look => view,
        };
        // A host that does not answer is the request's own error.
        match view {
            Ok(view) if view.compiled == Compiled::Pending => {
                let message = format!("compiling {}", shortened(&component.hex()));
                let taken = Duration::from_millis(view.compile_ms.unwrap_or_default());
                spinner.get_or_insert_with(|| Spinner::since(message, taken));
            }
            _ => spinner = None,
        }
    }
}
