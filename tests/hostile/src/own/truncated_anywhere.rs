//! A good component truncated at sixty-four lengths.

use std::time::Instant;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::built;
use crate::seen::Seen;

const LENGTHS: usize = 64;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let whole = std::fs::read(built("hello")).unwrap();
        let began = Instant::now();
        let mut refused = 0;
        for n in 0..LENGTHS {
            let part = whole[..whole.len() * n / LENGTHS].to_vec();
            match bed.put(part).await {
                // The part cut off may be only the names.
                Ok(_) => {}
                Err(error) => match End::of_error(&error) {
                    End::Refused(_) => refused += 1,
                    other => return Seen::told(other),
                },
            }
        }
        if refused < LENGTHS - 4 {
            return Seen::told(End::Wrong(format!("only {refused} were refused")));
        }
        let stopped_in = began.elapsed() / u32::try_from(LENGTHS).unwrap();
        Seen { stopped_in, ..Seen::told(End::Refused(format!("{refused} times"))) }
    })
}
