//! A service that logs without end: the transcript keeps the first megabytes and marks the log as
//! truncated.

use skep_protocol::{EntryKind, LimitName, Limits, NewInput};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::case::Case;
use crate::end::End;
use crate::expected::Expected;
use crate::guest::{built, message};
use crate::seen::Seen;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        // Enough to exceed the kept size, even on a busy machine.
        let case = Case::service("logs_for_ever", Expected::Deadline)
            .with(LimitName::turn_deadline_ms, 10_000);
        let component = bed.put(std::fs::read(built("misbehaves")).unwrap()).await.unwrap();
        let worker = bed.worker(component, &case).await;
        let input =
            NewInput { wait: Some(super::PATIENCE), ..super::post(message("logs_for_ever")) };
        bed.runtime().send(worker, input).await.unwrap();
        let logged = super::entries(bed, worker).await;
        bed.runtime().remove(worker).await.unwrap();
        let logged: Vec<_> =
            logged.into_iter().filter(|entry| entry.kind == EntryKind::Log).collect();
        let bytes: usize = logged.iter().map(|entry| entry.payload.body.len()).sum();
        let said = logged.iter().filter(|entry| entry.truncated).count();
        let most = usize::try_from(Limits::default().log_bytes_per_turn).unwrap();
        Seen::told(match bytes <= most && bytes > most / 2 && said == 1 {
            true => End::Limit(LimitName::log_bytes_per_turn),
            false => End::Wrong(format!("{bytes} bytes, truncated {said} times")),
        })
    })
}
