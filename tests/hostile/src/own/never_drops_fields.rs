//! Lists of headers that are sent to nobody, each as large as it may be.

use crate::asker::seen;
use crate::bed::Bed;
use crate::case::Sight;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(super::hoards(bed, "fields 9000 32000").await) })
}
