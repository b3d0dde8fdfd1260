//! Clock ids and timestamps.

use std::time::Duration;

use super::abi::types::{self, Errno, Error};

pub(super) fn known_clock(id: types::Clockid) -> Result<(), Error> {
    match id {
        types::Clockid::Realtime | types::Clockid::Monotonic => Ok(()),
        types::Clockid::ProcessCputimeId | types::Clockid::ThreadCputimeId => {
            Err(Errno::Inval.into())
        }
    }
}

pub(super) fn timestamp(since: Duration) -> Result<types::Timestamp, Error> {
    u64::try_from(since.as_nanos()).map_err(|_| Errno::Overflow.into())
}
