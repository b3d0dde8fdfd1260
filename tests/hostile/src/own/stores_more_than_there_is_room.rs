//! A caller that stores blobs until the host has no room for more.

use skep_protocol::Error;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;
use crate::step_bed::{ROOM, StepBed};

const BLOB: u64 = 4 << 20;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        for n in 0..=ROOM / BLOB {
            let blob = vec![u8::try_from(n).unwrap(); usize::try_from(BLOB).unwrap()];
            match bed.put(&blob).await {
                Ok(_) => {}
                Err(Error::StorageFull) if n > 0 => {
                    return Seen::told(End::Refused(format!("after {n} blobs")));
                }
                Err(error) => return Seen::told(End::Wrong(format!("{error:?}"))),
            }
        }
        Seen::told(End::Wrong("all were stored".into()))
    })
}
