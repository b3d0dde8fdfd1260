//! Inputs for a busy worker, until one is refused.

use skep_protocol::Limits;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[]).await;
        let most = Limits::default().mailbox_inputs;
        for n in 0..=most {
            let text = if n == 0 { "nap 3600" } else { "echo x" };
            if let Err(error) = bed.runtime().send(worker, super::post(message(text))).await {
                bed.runtime().remove(worker).await.unwrap();
                return Seen::told(match n == most {
                    true => End::of_error(&error),
                    false => End::Wrong(format!("input {n}: {error:?}")),
                });
            }
        }
        Seen::told(End::Wrong("all were accepted".into()))
    })
}
