//! A good component of which only the beginning was sent, in sixty-four lengths.

use std::time::Instant;

use crate::bed::{Bed, built};
use crate::case::Sight;
use crate::seen::{End, Seen};

const LENGTHS: usize = 64;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let whole = std::fs::read(built("hello")).unwrap();
        let began = Instant::now();
        let mut refused = 0;
        for n in 0..LENGTHS {
            let part = whole[..whole.len() * n / LENGTHS].to_vec();
            match bed.put(part).await {
                // What is cut off may be nothing but names.
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
