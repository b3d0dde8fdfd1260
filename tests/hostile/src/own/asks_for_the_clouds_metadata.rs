//! Requests to the metadata servers that hand out a cloud machine's credentials.

use crate::asker::{Asker, PROHIBITED, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let asker = Asker::with(bed, &["http://*:80"], &[]).await;
    let forms = [
        "169.254.169.254",
        "169.254.170.2",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "192.0.0.192",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "metadata.google.internal",
        "METADATA.test.",
    ];
    bed.names().lead("metadata.google.internal", &[&["169.254.169.254"]]);
    bed.names().lead("metadata.test", &[&["fd00:ec2::254", "169.254.169.254"]]);
    asker.is_refused(80, &forms, PROHIBITED).await?;
    asker.remove().await;
    Ok(End::Denied(format!("in all {} forms", forms.len())))
}
