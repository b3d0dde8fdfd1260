//! Many workers, in every state that lasts.

use std::collections::BTreeMap;

use skep_protocol::{ComponentDigest, Desired, FailedReason, WorkerSpec};
use skep_store::{Standing, Store, WorkerWrite};

use crate::lane::Lane;
use crate::{Failure, record};

/// Every so many workers, one is stopped, or failed.
const STOPPED: u64 = 10;
const FAILED: u64 = 50;

/// Values of the label `hive`.
const HIVES: u64 = 100;

/// Adds workers named `bee-000000` and so on.
pub(crate) fn fill(store: &Store, component: ComponentDigest, workers: u64) -> Result<(), Failure> {
    let mut lane = Lane::new(store);
    for n in 0..workers {
        let number = store.next_number();
        let mut spec = WorkerSpec::new(component);
        spec.display_ref = Some(format!("bee-{n:06}").parse()?);
        let hive = ("hive".to_owned(), format!("{}", n % HIVES));
        spec.labels = BTreeMap::from([hive]).try_into()?;
        let mut record = record(number, spec, (workers - n) * 1_000)?;
        if n % FAILED == 1 {
            record.standing = Standing::Failed(FailedReason::CrashLoop);
        } else if n % STOPPED == 2 {
            record.desired = Desired::Stopped;
            record.standing = Standing::Stopped;
        }
        lane.push(number, vec![WorkerWrite::Create(Box::new(record))])?;
    }
    lane.finish()
}
