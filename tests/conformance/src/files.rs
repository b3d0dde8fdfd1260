//! A worker's files: accessed from outside, shared with its guest, limited.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, args, eventually, upload, upload_in};

impl Worker<'_> {
    pub(crate) async fn put(&self, name: &str, content: &[u8]) -> Result<Stored<FileView>, Error> {
        let name = name.parse().unwrap();
        self.runtime()
            .write_file(self.id, name, upload_in(content.to_vec(), 1_000), FileCondition::Any)
            .await
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read_part(name, None).await.map(|(_, content)| content)
    }

    async fn read_part(
        &self,
        name: &str,
        range: Option<FileRange>,
    ) -> Result<(FileView, Vec<u8>), Error> {
        let name = name.parse().unwrap();
        let (view, mut pieces) = self.runtime().read_file(self.id, name, range).await?;
        let mut content = Vec::new();
        while let Some(piece) = pieces.next().await {
            content.extend(piece?);
        }
        Ok((view, content))
    }

    pub(crate) async fn list(&self, prefix: &str) -> Vec<String> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let query = ListFiles { prefix, ..ListFiles::default() };
        let page = self.runtime().files(self.id, query).await.unwrap();
        assert_eq!(page.next_cursor, None, "the list has more than one page");
        page.items.into_iter().map(|file| file.name.into()).collect()
    }

    async fn delete(&self, name: &str) -> Result<(), Error> {
        self.runtime().remove_file(self.id, name.parse().unwrap(), RemoveFile::default()).await
    }
}

pub(crate) async fn a_worker_without_files_has_none(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    assert!(worker.list("").await.is_empty());
    assert_eq!(worker.read("a").await, Err(Error::UnknownFile));
    assert_eq!(worker.delete("a").await, Err(Error::UnknownFile));
    assert_eq!(worker.view().await.execution, Execution::Unconnected);
    let usage = trial.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (0, 0));
}

pub(crate) async fn a_file_is_written_read_and_removed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, content) in [("note", &b"some text"[..]), ("a/b/c.bin", &content), ("ü 1", b"")] {
        let stored = worker.put(name, content).await.unwrap();
        assert!(stored.created);
        assert_eq!((stored.item.name.as_str(), stored.item.bytes), (name, content.len() as u64));
        let (view, read) = worker.read_part(name, None).await.unwrap();
        assert!(read == content, "{name}");
        assert_eq!(view, stored.item);
        let listed = ListFiles { prefix: Some(name.to_owned()), ..ListFiles::default() };
        let listed = trial.runtime().files(worker.id, listed).await.unwrap();
        assert_eq!(listed.items, [view]);
    }
    assert_eq!(worker.list("").await, ["a/b/c.bin", "note", "ü 1"]);
    assert!(other.list("").await.is_empty(), "workers do not share a directory");
    worker.delete("a/b/c.bin").await.unwrap();
    assert_eq!(worker.delete("a/b/c.bin").await, Err(Error::UnknownFile));
    assert_eq!(worker.read("a/b/c.bin").await, Err(Error::UnknownFile));
    assert_eq!(worker.list("").await, ["note", "ü 1"]);
}

pub(crate) async fn a_file_that_is_written_again_is_replaced(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.put("note", &[1; 5_000]).await.unwrap();
    let again = worker.put("note", b"short").await.unwrap();
    assert_eq!((again.created, again.item.bytes), (false, 5));
    assert_eq!(worker.read("note").await.unwrap(), b"short");
    let usage = trial.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (5, 1));
}

pub(crate) async fn a_part_of_a_file_is_read(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    worker.put("file", &content).await.unwrap();
    for (start, bytes) in [
        (0, Some(1)),
        (1, Some(2)),
        (65_535, Some(2)),
        (70_000, Some(70_000)),
        (199_999, Some(1)),
        (199_999, Some(u64::MAX)),
        (150_000, None),
        (0, None),
    ] {
        let end = bytes.map_or(200_000, |bytes: u64| bytes.saturating_add(start).min(200_000));
        let range = Some(FileRange { start, bytes });
        let (view, part) = worker.read_part("file", range).await.unwrap();
        assert!(part == content[start as usize..end as usize], "{start} {bytes:?}");
        assert_eq!(view.bytes, 200_000, "the view is of the whole file");
    }
}

pub(crate) async fn the_guest_and_its_owner_share_files(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    worker.put("note", b"from outside").await.unwrap();
    let (_, output) = worker.run(args(&["append", "/data/note", ", and inside"])).await;
    assert_eq!(output.exit_code, Some(0), "{output:?}");
    assert_eq!(worker.read("note").await.unwrap(), b"from outside, and inside");
    worker.put("note", b"anew").await.unwrap();
    let (_, output) = worker.run(args(&["read", "/data/note"])).await;
    assert_eq!(output.stdout, b"anew");
    worker.run(args(&["append", "/data/other", "x"])).await;
    assert_eq!(worker.list("").await, ["note", "other"]);
    worker.delete("note").await.unwrap();
    let (_, output) = worker.run(args(&["read", "/data/note"])).await;
    assert_eq!(output.exit_code, Some(1));
    let usage = trial.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (1, 1));
}

pub(crate) async fn files_are_there_while_a_turn_runs_and_after_a_stop(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    worker.put("before", b"1").await.unwrap();
    let spin = worker.try_send(crate::trial::run_input(&args(&["spin"]))).await.unwrap();
    worker.running(spin.input_id()).await;
    worker.put("during", b"2").await.unwrap();
    assert_eq!(worker.read("before").await.unwrap(), b"1");
    assert_eq!(worker.list("").await, ["before", "during"]);
    worker.delete("before").await.unwrap();
    assert_eq!(worker.input(spin.input_id()).await.state, InputState::Running);
    trial.runtime().cancel(worker.id, spin.input_id()).await.unwrap();
    trial.runtime().stop(worker.id).await.unwrap();
    worker.put("after", b"3").await.unwrap();
    assert_eq!(worker.list("").await, ["after", "during"]);
    trial.runtime().start(worker.id).await.unwrap();
    let (_, output) = worker.run(args(&["read", "/data/after"])).await;
    assert_eq!(output.stdout, b"3");
}

pub(crate) async fn files_are_listed_in_the_order_of_their_names(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut tar = crate::archives::Tar::default();
    // More than one page.
    for n in 0..1_100 {
        tar = tar.file(&format!("many/{:04}", (n * 7_919) % 1_100), b"x");
    }
    for name in ["many-more", "many.txt", "a/z", "a-z", "z"] {
        tar = tar.file(name, b"");
    }
    worker.runtime().import(worker.id, upload(tar.end())).await.unwrap();
    let mut names = Vec::new();
    let mut query = ListFiles::default();
    loop {
        let page = worker.runtime().files(worker.id, query.clone()).await.unwrap();
        assert!(page.items.len() <= 1_000);
        names.extend(page.items.into_iter().map(|file| String::from(file.name)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 1_105);
    assert!(names.is_sorted());
    assert_eq!(names[..3], ["a-z", "a/z", "many-more"]);
    assert_eq!(worker.list("many.").await, ["many.txt"]);
    assert_eq!(worker.list("many/000").await.len(), 10);
    assert!(worker.list("nothing").await.is_empty());
    let refused = ListFiles { cursor: Some("x".into()), ..ListFiles::default() };
    let refused = worker.runtime().files(worker.id, refused).await;
    assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Cursor)));
}

pub(crate) async fn one_level_of_a_directory_is_listed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let level = async |prefix: &str| {
        let prefix = Some(prefix.to_owned());
        let query = ListFiles { prefix, by_directory: true, ..ListFiles::default() };
        let page = trial.runtime().files(worker.id, query).await.unwrap();
        assert_eq!(page.next_cursor, None);
        let files: Vec<String> = page.items.into_iter().map(|file| file.name.into()).collect();
        let directories = page.directories.expect("one level was asked for").into_iter();
        (files, directories.map(String::from).collect::<Vec<_>>())
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(level("").await, (names(&[]), names(&[])));
    for name in ["a", "d/a", "d/e/f/g", "d/e2/x", "da/b", "z"] {
        worker.put(name, b"1").await.unwrap();
    }
    assert_eq!(level("").await, (names(&["a", "z"]), names(&["d", "da"])));
    assert_eq!(level("d").await, (names(&[]), names(&["d", "da"])));
    assert_eq!(level("d/").await, (names(&["d/a"]), names(&["d/e", "d/e2"])));
    assert_eq!(level("d/e/").await, (names(&[]), names(&["d/e/f"])));
    assert_eq!(level("d/e/f/g").await, (names(&["d/e/f/g"]), names(&[])));
    assert_eq!(level("none/").await, (names(&[]), names(&[])));
    let page = trial.runtime().files(worker.id, ListFiles::default()).await.unwrap();
    assert_eq!(page.directories, None, "all files are listed unless one level is asked for");
    assert_eq!(page.items.len(), 6);
}

pub(crate) async fn a_file_or_directory_is_renamed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let rename = async |from: &str, to: &str| {
        let names = RenameFile { from: from.parse().unwrap(), to: to.parse().unwrap() };
        trial.runtime().rename_file(worker.id, names).await
    };
    assert_eq!(rename("a", "b").await, Err(Error::UnknownFile));
    worker.put("a", b"1").await.unwrap();
    worker.put("d/e/f", b"2").await.unwrap();
    rename("a", "new/way/b").await.unwrap();
    assert_eq!(worker.read("new/way/b").await.unwrap(), b"1");
    assert_eq!(worker.read("a").await, Err(Error::UnknownFile));
    rename("d", "g").await.unwrap();
    assert_eq!(worker.read("g/e/f").await.unwrap(), b"2");
    let taken = Err(Conflict::FileExists.into());
    assert_eq!(rename("g/e/f", "new/way/b").await, taken);
    assert_eq!(rename("g/e/f", "new").await, taken, "a directory is not replaced either");
    assert_eq!(rename("g/e/f", "g/e/f").await, taken);
    let not_a_file = Err(Invalid::NotAFile.into());
    assert_eq!(rename("g", "g/inside").await, not_a_file);
    assert_eq!(rename("g/e/f", "new/way/b/below").await, not_a_file);
    assert_eq!(worker.list("").await, ["g/e/f", "new/way/b"]);
}

pub(crate) async fn a_directory_is_removed_with_everything_below_it(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let remove = async |name: &str, recursive| {
        let how = RemoveFile { recursive, ..RemoveFile::default() };
        trial.runtime().remove_file(worker.id, name.parse().unwrap(), how).await
    };
    assert_eq!(remove("d", true).await, Err(Error::UnknownFile));
    worker.put("kept", b"1").await.unwrap();
    let before = trial.runtime().usage(worker.id).await.unwrap();
    for name in ["d/a", "d/e/f/g", "d/e/h", "one"] {
        worker.put(name, &[0; 1_000]).await.unwrap();
    }
    assert_eq!(remove("d", false).await, Err(Invalid::NotAFile.into()));
    remove("d", true).await.unwrap();
    assert_eq!(worker.list("").await, ["kept", "one"]);
    remove("one", true).await.unwrap();
    eventually("the room is free again", async || {
        let now = trial.runtime().usage(worker.id).await.unwrap();
        let same = (now.disk_bytes, now.disk_entries) == (before.disk_bytes, before.disk_entries);
        same.then_some(())
    })
    .await;
    worker.put("d", b"a file now").await.unwrap();
}

pub(crate) async fn a_change_under_a_condition_needs_it_to_hold(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let name: FileName = "a".parse().unwrap();
    let write = async |content: &[u8], condition| {
        let content = upload(content.to_vec());
        trial.runtime().write_file(worker.id, name.clone(), content, condition).await
    };
    let remove = async |condition| {
        let how = RemoveFile { recursive: false, condition };
        trial.runtime().remove_file(worker.id, name.clone(), how).await
    };
    let failed = Some(Error::PreconditionFailed);
    assert_eq!(write(b"1", FileCondition::Present).await.err(), failed);
    let first = write(b"1", FileCondition::Absent).await.unwrap().item;
    assert_eq!(write(b"2", FileCondition::Absent).await.err(), failed);
    let second = write(b"22", FileCondition::Is(first.tag())).await.unwrap().item;
    assert_ne!(first.tag(), second.tag());
    assert_eq!(write(b"333", FileCondition::Is(first.tag())).await.err(), failed);
    assert_eq!(worker.read("a").await.unwrap(), b"22");
    assert_eq!(remove(FileCondition::Is(first.tag())).await.err(), failed);
    remove(FileCondition::Is(second.tag())).await.unwrap();
    assert_eq!(worker.read("a").await, Err(Error::UnknownFile));
    assert_eq!(write(b"4", FileCondition::Is(second.tag())).await.err(), failed);
}

pub(crate) async fn a_directory_is_not_a_file(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.put("dir/file", b"x").await.unwrap();
    let refused = Err(Error::InvalidRequest(Invalid::NotAFile));
    assert_eq!(worker.read("dir").await.map(drop), refused);
    assert_eq!(worker.put("dir", b"y").await.map(drop), refused);
    assert_eq!(worker.delete("dir").await, refused);
    // Nor can a file be used as a directory.
    assert_eq!(worker.put("dir/file/below", b"y").await.map(drop), refused);
    assert_eq!(worker.read("dir/file/below").await, Err(Error::UnknownFile));
    assert_eq!(worker.read("dir/file").await.unwrap(), b"x");
}

pub(crate) async fn a_truncated_upload_changes_nothing(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.put("kept", b"as it was").await.unwrap();
    for name in ["kept", "new", "new/er"] {
        let pieces = vec![Ok(Bytes::from_static(b"half")), Err(Error::RuntimeUnavailable)];
        let name = name.parse().unwrap();
        let cut = worker
            .runtime()
            .write_file(worker.id, name, stream::iter(pieces).boxed(), FileCondition::Any)
            .await;
        assert!(cut.is_err(), "{cut:?}");
    }
    assert_eq!(worker.list("").await, ["kept"]);
    assert_eq!(worker.read("kept").await.unwrap(), b"as it was");
    crate::trial::eventually("what came of it is free again", async || {
        let usage = worker.runtime().usage(worker.id).await.unwrap();
        ((usage.disk_bytes, usage.disk_entries) == (9, 1)).then_some(())
    })
    .await;
}

pub(crate) async fn disk_bytes(trial: &Trial<'_>) {
    let name = LimitName::disk_bytes;
    let worker = trial.limited_guest(Guest::Probe, &[(name, 10_000)]).await;
    let past = Err(Error::LimitExceeded { name, limit: 10_000 });
    assert_eq!(worker.put("large", &[0; 10_001]).await, past);
    worker.put("most", &[0; 9_000]).await.unwrap();
    assert_eq!(worker.put("rest", &[0; 1_001]).await, past);
    assert_eq!(worker.list("").await, ["most"]);
    // The guest's files count as well, and files from outside count for the guest.
    let (_, output) = worker.run(args(&["append", "/data/note", &"x".repeat(900)])).await;
    assert_eq!(output.exit_code, Some(0), "{output:?}");
    assert_eq!(worker.put("rest", &[0; 101]).await, past);
    worker.delete("most").await.unwrap();
    worker.put("rest", &[0; 9_000]).await.unwrap();
    let usage = trial.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (9_900, 2));
}

pub(crate) async fn disk_entries(trial: &Trial<'_>) {
    let name = LimitName::disk_entries;
    let worker = trial.limited(&[(name, 3)]).await;
    let past = Err(Error::LimitExceeded { name, limit: 3 });
    assert_eq!(worker.put("a/b/c/d", b"").await, past);
    worker.put("a/b", b"").await.unwrap();
    worker.put("c", b"").await.unwrap();
    assert_eq!(worker.put("d", b"").await, past);
    // New content does not add a name.
    worker.put("a/b", b"content").await.unwrap();
    assert_eq!(worker.list("").await, ["a/b", "c"]);
}

pub(crate) async fn a_written_file_is_no_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let before = worker.entries().await;
    worker.put("note", b"text").await.unwrap();
    worker.read("note").await.unwrap();
    worker.delete("note").await.unwrap();
    assert_eq!(worker.entries().await, before);
    assert_eq!(worker.view().await.execution, Execution::Unconnected);
    assert_eq!(trial.runtime().usage(worker.id).await.unwrap().turns, 0);
    // A first connection is reported as such, whatever the directory contains.
    worker.put("note", b"text").await.unwrap();
    assert_eq!(worker.ask("echo on").await, "on");
}
