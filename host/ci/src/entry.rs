//! Entries of the cache: the result of an action that ended as expected.
//!
//! Only [`crate::action_run`] writes them, after an executor ran the action. There is no way to put
//! a result in from outside.

use std::io;
use std::time::Duration;

use prost::Message;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use crate::digest::{BlobDigest, from_message, to_message};
use crate::draft;
use crate::messages::{ActionResultMessage, AnyMessage, ExecutedMessage, OutputFileMessage};
use crate::result::StepResult;
use crate::store::Store;

/// The type of the part that REAPI has no fields for.
const STEP: &str = "type.skep.dev/ci.StepResult.json";

/// Stores the result of an action.
pub(crate) fn write(
    store: &Store,
    action: &BlobDigest,
    result: &StepResult,
    run: &str,
) -> io::Result<()> {
    let files = result.out.files.iter().filter_map(|file| {
        let digest = Some(to_message(&BlobDigest::parse(&file.digest, file.bytes)?));
        Some(OutputFileMessage { path: file.path.clone(), digest, is_executable: false })
    });
    let stream = |stream: &crate::result::StreamResult| {
        let digest = BlobDigest::parse(stream.digest.as_deref()?, stream.kept)?;
        Some(to_message(&digest))
    };
    let kept = StepResult {
        cached: Some(crate::result::CachedFrom { from_run: run.to_owned() }),
        ..result.clone()
    };
    let value = serde_json::to_vec(&kept).map_err(io::Error::other)?;
    let message = ActionResultMessage {
        output_files: files.collect(),
        exit_code: i32::from(result.exit_code.unwrap_or(0)),
        stdout_digest: stream(&result.stdout),
        stderr_digest: stream(&result.stderr),
        execution_metadata: Some(ExecutedMessage {
            worker: "skep".into(),
            auxiliary_metadata: vec![AnyMessage { type_url: STEP.into(), value }],
        }),
    };
    draft::write(&store.root, &name(action), &message.encode_to_vec(), 0o400)
}

/// Reads the result of an action. `None` if there is none, it is damaged, or a blob of it is
/// missing: then the step runs.
pub(crate) fn read(store: &Store, action: &BlobDigest) -> Option<StepResult> {
    let content = draft::read(&store.root, &name(action)).ok()??;
    let message = ActionResultMessage::decode(&*content).ok()?;
    let streams = message.stdout_digest.iter().chain(&message.stderr_digest);
    let blobs = message.output_files.iter().filter_map(|file| file.digest.as_ref()).chain(streams);
    for blob in blobs {
        if !store.has(&from_message(blob)?) {
            return None;
        }
    }
    let parts = message.execution_metadata?.auxiliary_metadata;
    let part = parts.iter().find(|part| part.type_url == STEP)?;
    serde_json::from_slice(&part.value).ok()
}

/// Notes that a result was used, about once a day: what was not used for longest is collected first.
/// A failure makes it look older.
pub(crate) fn note_use(store: &Store, action: &BlobDigest) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let name = name(action);
    let modified = store.root.symlink_metadata(&name).and_then(|meta| meta.modified());
    let age = modified.ok().and_then(|modified| modified.into_std().elapsed().ok());
    if age.is_some_and(|age| age > DAY) {
        let time = |nanos| Timespec { tv_sec: 0, tv_nsec: nanos };
        let times =
            Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
        let _ = utimensat(&*store.root, &name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Returns the name of an entry's file.
pub(crate) fn name(action: &BlobDigest) -> String {
    format!("ac/{}", action.hex())
}
