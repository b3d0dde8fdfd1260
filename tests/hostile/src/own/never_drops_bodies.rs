//! Bodies of requests that are never sent, each filled until the host takes no more.

use crate::asker::seen;
use crate::attack::Sight;
use crate::bed::Bed;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(super::hoards(bed, "bodies 3000").await) })
}
