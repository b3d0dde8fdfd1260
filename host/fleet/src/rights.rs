//! The rights of a member at the servers of its fleet.

use std::time::Duration;

use async_nats::{Event, ServerError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::connection::{FleetAccess, FleetError};

/// A subject of no member. The server refuses it to each.
const BARRIER: &str = "skep.barrier";

/// Tries subjects as a member. Returns its own subjects that the server refuses, and the subjects of other
/// members that it allows.
///
/// # Errors
/// [`FleetError`] if no server can be reached.
pub async fn try_rights(
    access: &FleetAccess,
    rights: &RightsToTry,
) -> Result<(Vec<String>, Vec<String>), FleetError> {
    let (to, mut refused) = mpsc::unbounded_channel();
    let client = access
        .connect(move |event| {
            if let Event::ServerError(ServerError::Other(error)) = event {
                // The reader may have gone.
                let _ = to.send(error.clone());
            }
        })
        .await?;
    let (mut missing, mut excess) = (Vec::new(), Vec::new());
    for (subjects, is_own) in [(&rights.own, true), (&rights.others, false)] {
        for subject in subjects {
            let held = match subject {
                TriedSubject::Publish(subject) => {
                    client.publish(subject.clone(), "".into()).await?;
                    None
                }
                TriedSubject::Subscribe(subject) => Some(client.subscribe(subject.clone()).await?),
            };
            client.publish(BARRIER, "".into()).await?;
            let is_refused = loop {
                let error = timeout(Duration::from_secs(5), refused.recv()).await;
                let Ok(Some(error)) = error else { return Err(FleetError::Silent) };
                if error.contains(BARRIER) {
                    break false;
                }
                if error.contains(subject.as_str()) {
                    // The barrier's own refusal is still to come.
                    let _ = timeout(Duration::from_secs(5), refused.recv()).await;
                    break true;
                }
            };
            drop(held);
            match (is_own, is_refused) {
                (true, true) => missing.push(subject.as_str().to_owned()),
                (false, false) => excess.push(subject.as_str().to_owned()),
                _ => {}
            }
        }
    }
    Ok((missing, excess))
}

/// The subjects to try.
#[derive(Clone, Debug, Default)]
pub struct RightsToTry {
    /// Subjects that the member needs. Nothing listens there, so trying them has no effect.
    pub own: Vec<TriedSubject>,
    /// Subjects of other members.
    pub others: Vec<TriedSubject>,
}

/// A subject to try.
#[derive(Clone, Debug)]
pub enum TriedSubject {
    /// By a message without content.
    Publish(String),
    /// By a subscription that ends at once.
    Subscribe(String),
}

impl TriedSubject {
    fn as_str(&self) -> &str {
        match self {
            Self::Publish(subject) | Self::Subscribe(subject) => subject,
        }
    }
}
