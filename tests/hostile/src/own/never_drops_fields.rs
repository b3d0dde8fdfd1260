//! Header lists that are never sent, each as large as allowed.

use crate::asker::seen;
use crate::attack::Sight;
use crate::bed::Bed;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(super::hoards(bed, "fields 9000 32000").await) })
}
