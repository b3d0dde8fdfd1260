//! A good component with one flipped bit, at a hundred places. No outcome may be a fault of the
//! host.

use std::time::Instant;

use skep_protocol::{Ending, LimitName, NewInput, Sent};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::case::Case;
use crate::end::End;
use crate::expected::Expected;
use crate::guest::{built, run_request};
use crate::seen::Seen;

const PLACES: usize = 100;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let good = std::fs::read(built("hello")).unwrap();
        let case = Case::command("bits_flipped", Expected::Completed(""))
            .with(LimitName::turn_deadline_ms, 200);
        let began = Instant::now();
        let mut refused = 0;
        for n in 0..PLACES {
            let mut bad = good.clone();
            bad[good.len() * n / PLACES] ^= 1 << (n % 8);
            match bed.put(bad).await {
                Err(error) => match End::of_error(&error) {
                    End::Refused(_) | End::Limit(_) => refused += 1,
                    other => return Seen::told(other),
                },
                Ok(component) => {
                    let worker = bed.worker(component, &case).await;
                    let input =
                        NewInput { wait: Some(super::PATIENCE), ..super::post(run_request(&[])) };
                    let sent = bed.runtime().send(worker, input).await.unwrap();
                    let Sent::Done { outcome, .. } = sent else { panic!("{sent:?}") };
                    if outcome.ending == Ending::HostFault {
                        return Seen::told(End::Wrong(format!("bit {n}: {outcome:?}")));
                    }
                    bed.runtime().remove(worker).await.unwrap();
                    bed.runtime().remove_component(component).await.unwrap();
                }
            }
        }
        if refused == 0 {
            return Seen::told(End::Wrong("none was refused".into()));
        }
        let stopped_in = began.elapsed() / u32::try_from(PLACES).unwrap();
        Seen { stopped_in, ..Seen::told(End::Refused(format!("{refused} times"))) }
    })
}
