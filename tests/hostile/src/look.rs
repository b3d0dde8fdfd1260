//! Checks of a guest's directory, made before its worker is removed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use skep_protocol::{Error, Invalid, Limits, ListFiles, Outcome, WorkerId};

use crate::bed::Bed;
use crate::end::End;
use crate::hook::Check;
use crate::operator::SECRET;
use crate::owner::collected;

/// Files that a guest makes in one directory within seconds, even on a busy machine.
const MANY: u64 = 2_000;

/// Checks that the usage that the host reports equals the directory's, and is within the limits.
pub(crate) fn is_counted<'a>(bed: &'a Bed, worker: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let said = bed.runtime().usage(worker).await.unwrap();
        let said = (said.disk_bytes, said.disk_entries);
        let (mut there, mut seen) = ((0, 0), HashSet::new());
        weigh(&bed.data(worker), &mut there, &mut seen);
        let spec = bed.runtime().get(worker).await.unwrap().spec;
        let limits = spec.limits.over(&Limits::default());
        match said == there && said.0 <= limits.disk_bytes && said.1 <= limits.disk_entries {
            true => Ok(()),
            false => Err(format!(
                "the host counts {said:?} bytes and names, the directory has {there:?}"
            )),
        }
    })
}

/// Adds up bytes, once per file, and names.
fn weigh(dir: &Path, there: &mut (u64, u64), seen: &mut HashSet<u64>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        there.1 += 1;
        if metadata.is_dir() {
            weigh(&entry.path(), there, seen);
        } else if metadata.is_file() && seen.insert(metadata.ino()) {
            there.0 += metadata.len();
        }
    }
}

/// Checks that the guest's links lead its owner nowhere, and that nothing was added around its
/// directory.
pub(crate) fn leads_nobody_out<'a>(bed: &'a Bed, worker: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let runtime = bed.runtime();
        for name in ["file-out", "dir-out/secret", "up/data/file", "chain-1", "itself", "second"] {
            match runtime.read_file(worker, name.parse().unwrap(), None).await {
                Err(Error::UnknownFile | Error::InvalidRequest(Invalid::NotAFile)) => {}
                other => return Err(format!("{name}: {:?}", other.map(|(view, _)| view))),
            }
        }
        let listed = runtime.files(worker, ListFiles::default()).await.unwrap().items;
        let listed: Vec<_> = listed.iter().map(|file| file.name.as_str()).collect();
        if listed != ["file"] {
            return Err(format!("{listed:?} are listed"));
        }
        let tar = collected(runtime.export(worker).await.unwrap()).await.unwrap_or_default();
        if tar.is_empty() || tar.windows(SECRET.len()).any(|part| part == SECRET) {
            return Err("the archive is empty or contains the secret".into());
        }
        is_untouched(bed)
    })
}

/// Checks that everything around the directories is unchanged.
fn is_untouched(bed: &Bed) -> Result<(), String> {
    let mut names: Vec<_> =
        fs::read_dir(bed.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    if names != ["outside", "read", "secret", "store", "write"] {
        return Err(format!("the bed contains {names:?}"));
    }
    match fs::read(bed.dir().join("secret")).unwrap() == SECRET {
        true => Ok(()),
        false => Err("the secret was written to".into()),
    }
}

/// Checks that an operator's directory is unchanged.
pub(crate) fn changed_nothing<'a>(bed: &'a Bed, _: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let read = bed.dir().join("read");
        let (mut there, mut seen) = ((0, 0), HashSet::new());
        weigh(&read, &mut there, &mut seen);
        let aged = [".", "file", "dir", "dir/file"].iter().any(|name| {
            // The guest tried to set the oldest possible time.
            fs::metadata(read.join(name)).unwrap().mtime() < 1_000_000
        });
        match there == (8, 4) && !aged && fs::read(read.join("file")).unwrap() == b"good" {
            true => Ok(()),
            false => Err(format!("{there:?} bytes and names remain, times changed: {aged}")),
        }
    })
}

/// Checks that the owner sees only the harmless ones of the hostile names, and can read those
/// files.
pub(crate) fn shows_good_names<'a>(bed: &'a Bed, worker: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let runtime = bed.runtime();
        let listed = runtime.files(worker, ListFiles::default()).await.unwrap().items;
        for file in &listed {
            let name = file.name.as_str();
            if name.chars().any(skep_protocol::text::is_unsafe) {
                return Err(format!("{name:?} is listed"));
            }
            let (_, bytes) = runtime.read_file(worker, file.name.clone(), None).await.unwrap();
            if collected(bytes).await.as_deref() != Some(name.as_bytes()) {
                return Err(format!("{name:?} has the content of another file"));
            }
        }
        let missing = ["<svg onload=alert(1)>", "-rf", "...", "$(reboot)", "CON", "🐝"]
            .into_iter()
            .find(|name| !listed.iter().any(|file| file.name.as_str() == *name));
        if let Some(name) = missing {
            return Err(format!("{name:?} is not listed"));
        }
        let packed = collected(runtime.export(worker).await.unwrap()).await;
        packed.map(drop).ok_or_else(|| "it cannot be exported".into())
    })
}

/// Checks that all 200 attempts on each special file were refused: two pipes and two sockets, by
/// name and by link, and a device where one can be made.
pub(crate) fn opened_none_of_them<'a>(
    bed: &'a Bed,
    _: WorkerId,
    outcome: &'a Outcome,
) -> Check<'a> {
    Box::pin(async move {
        let names = fs::read_dir(bed.dir().join("read")).unwrap().count();
        let expected = End::Denied(format!("{names} names, {} calls", names * 200));
        match End::of_outcome(outcome) {
            end if end == expected && matches!(names, 4 | 6) => Ok(()),
            end => Err(format!("expected the end {expected:?}, got {end:?}")),
        }
    })
}

/// Checks that the guest made at least the usual number, and that its owner can list and export
/// them.
pub(crate) fn made_many<'a>(bed: &'a Bed, worker: WorkerId, outcome: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        match bed.runtime().usage(worker).await.unwrap().disk_entries {
            few if few < MANY => Err(format!("{few} files were made, fewer than {MANY}")),
            _ => can_be_listed(bed, worker, outcome).await,
        }
    })
}

/// Checks that the owner can list and export the directory, one page at a time.
pub(crate) fn can_be_listed<'a>(bed: &'a Bed, worker: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let (mut cursor, mut last, mut listed) = (None, None, 0);
        // Each page walks the whole directory.
        for _ in 0..5 {
            let query = ListFiles { cursor: cursor.take(), ..ListFiles::default() };
            let page = bed.runtime().files(worker, query).await;
            let page = page.map_err(|error| format!("listing: {error:?}"))?;
            listed += page.items.len();
            for file in page.items {
                if last.as_ref().is_some_and(|last| *last >= file.name) {
                    return Err(format!("{} comes after {last:?}", file.name));
                }
                last = Some(file.name);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let tar = bed.runtime().export(worker).await;
        let tar = tar.map_err(|error| format!("exporting: {error:?}"))?;
        let pieces = futures_util::StreamExt::take(tar, 100);
        let pieces: Vec<_> = futures_util::StreamExt::collect(pieces).await;
        match pieces.iter().find_map(|piece| piece.as_ref().err()) {
            Some(error) => Err(format!("exporting: {error:?}")),
            None if listed == 0 => Err("nothing is listed".into()),
            None => Ok(()),
        }
    })
}
