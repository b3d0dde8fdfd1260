//! Bodies of requests that are never sent, each filled for as long as the host takes any.

use crate::asker::seen;
use crate::bed::Bed;
use crate::case::Sight;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(super::hoards(bed, "bodies 3000").await) })
}
