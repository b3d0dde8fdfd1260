//! Requests to private, link-local and shared networks.

use crate::asker::{Asker, PROHIBITED, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let asker = Asker::with(bed, &["http://*:80"], &[]).await;
    let forms = [
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "home.test",
        "home6.test",
    ];
    bed.names().lead("home.test", &[&["192.168.1.1"]]);
    bed.names().lead("home6.test", &[&["fd12:3456::1", "fe80::1"]]);
    asker.is_refused(80, &forms, PROHIBITED).await?;
    asker.remove().await;
    expect("name queries", bed.names().asked("home.test") == 1, bed.names())?;
    Ok(End::Denied(format!("in all {} forms", forms.len())))
}
