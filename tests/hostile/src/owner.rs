//! The worker's owner, who reads and writes its files while the guest changes them.

use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_protocol::{ByteStream, Error, FileCondition, Invalid, ListFiles, RemoveFile, WorkerId};

use crate::bed::Bed;
use crate::hook::Check;
use crate::operator::{LONG, SECRET, begun};

/// From when the guest has begun, reads, lists, exports and writes the paths that it swaps for
/// links; then signals that it is done.
pub(crate) fn works_on_what_is_swapped(bed: &Bed, worker: WorkerId) -> Check<'_> {
    Box::pin(async move {
        begun(bed, worker).await?;
        let until = Instant::now() + LONG;
        let mut read = 0;
        while Instant::now() < until {
            for name in ["file", "dir/file"] {
                read += usize::from(reads(bed, worker, name).await?);
            }
            lists(bed, worker).await?;
            packs(bed, worker).await?;
            writes(bed, worker, "dir/new").await?;
            removes(bed, worker, "dir/new").await?;
        }
        writes(bed, worker, "enough").await?;
        let outside = std::fs::read_dir(bed.dir().join("outside")).unwrap().count();
        match (outside, read) {
            (1, 0) => Err("nothing could be read".into()),
            (1, _) => Ok(()),
            _ => Err("something was written outside".into()),
        }
    })
}

/// Returns true if the file could be read.
async fn reads(bed: &Bed, worker: WorkerId, name: &str) -> Result<bool, String> {
    match bed.runtime().read_file(worker, name.parse().unwrap(), None).await {
        Ok((view, bytes)) => match collected(bytes).await.as_deref() {
            Some(b"good") if view.bytes == 4 => Ok(true),
            // It was only just made.
            Some(b"") if view.bytes == 0 => Ok(false),
            other => Err(format!("{name} is {other:?} of {} bytes", view.bytes)),
        },
        Err(error) => expected(&error, name).map(|()| false),
    }
}

async fn lists(bed: &Bed, worker: WorkerId) -> Result<(), String> {
    let page = bed.runtime().files(worker, ListFiles::default()).await;
    let page = page.map_err(|error| format!("listing: {error:?}"))?;
    let known = ["aside/file", "aside/new", "begun", "dir/file", "dir/new", "file", "good"];
    match page.items.iter().find(|file| !known.contains(&file.name.as_str()) || file.bytes > 4) {
        Some(other) => Err(format!("{other:?} is listed")),
        None => Ok(()),
    }
}

async fn packs(bed: &Bed, worker: WorkerId) -> Result<(), String> {
    let tar =
        bed.runtime().export(worker).await.map_err(|error| format!("exporting: {error:?}"))?;
    // A stream cut in the middle ends with an error, which is fine.
    let tar = collected(tar).await.unwrap_or_default();
    match tar.windows(SECRET.len()).any(|part| part == SECRET) {
        true => Err("the archive contains the secret".into()),
        false => Ok(()),
    }
}

async fn writes(bed: &Bed, worker: WorkerId, name: &str) -> Result<(), String> {
    let bytes = stream::iter([Ok(Bytes::from_static(b"new"))]).boxed();
    match bed.runtime().write_file(worker, name.parse().unwrap(), bytes, FileCondition::Any).await {
        Ok(_) => Ok(()),
        Err(error) => expected(&error, name),
    }
}

async fn removes(bed: &Bed, worker: WorkerId, name: &str) -> Result<(), String> {
    match bed.runtime().remove_file(worker, name.parse().unwrap(), RemoveFile::default()).await {
        Ok(()) => Ok(()),
        Err(error) => expected(&error, name),
    }
}

/// Accepts the errors that the owner gets if the guest was quicker.
fn expected(error: &Error, name: &str) -> Result<(), String> {
    match error {
        Error::UnknownFile | Error::InvalidRequest(Invalid::NotAFile) => Ok(()),
        error => Err(format!("{name}: {error:?}")),
    }
}

/// Collects all bytes, if the stream ends without an error.
pub(crate) async fn collected(mut bytes: ByteStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.next().await {
        all.extend_from_slice(&piece.ok()?);
    }
    Some(all)
}
