//! An input one byte larger than allowed.

use skep_protocol::Limits;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[]).await;
        let text = "x".repeat(usize::try_from(Limits::default().input_bytes).unwrap() + 1);
        let sent = bed.runtime().send(worker, super::post(message(&text))).await;
        bed.runtime().remove(worker).await.unwrap();
        match sent {
            Ok(sent) => Seen::told(End::Wrong(format!("{sent:?}"))),
            Err(error) => Seen::told(End::of_error(&error)),
        }
    })
}
