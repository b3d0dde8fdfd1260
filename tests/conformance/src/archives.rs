//! Export and import of a worker's directory.

use futures_util::StreamExt;
use skep_protocol::*;
use tar::{EntryType, Header};

use crate::Guest;
use crate::trial::{Trial, Worker, args, upload, upload_in};

/// A builder of raw tar blocks, since no library writes the malformed ones.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: u8, name: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, content)
    }

    fn directory(self, name: &str) -> Self {
        self.entry(b'5', name, b"")
    }

    /// Gives the next entry a long name, in GNU or pax format.
    fn called(self, name: &str, pax: bool) -> Self {
        if !pax {
            return self.entry(b'L', "././@LongLink", format!("{name}\0").as_bytes());
        }
        let rest = format!(" path={name}\n");
        let mut length = rest.len();
        while length.to_string().len() + rest.len() != length {
            length = length.to_string().len() + rest.len();
        }
        self.entry(b'x', "pax", format!("{length}{rest}").as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1_024, 0);
        self.0
    }
}

fn tar() -> Tar {
    Tar::default()
}

impl Worker<'_> {
    async fn unpack(&self, tar: Vec<u8>) -> Result<Imported, Error> {
        self.runtime().import(self.id, upload_in(tar, 700)).await
    }

    async fn pack(&self) -> Vec<u8> {
        let mut pieces = self.runtime().export(self.id).await.unwrap();
        let mut tar = Vec::new();
        while let Some(piece) = pieces.next().await {
            tar.extend(piece.unwrap());
        }
        tar
    }
}

pub(crate) async fn an_export_can_be_imported(trial: &Trial<'_>) {
    let from = trial.worker(Guest::Scribe).await;
    let to = trial.worker(Guest::Scribe).await;
    let nothing = from.pack().await;
    assert_eq!(to.unpack(nothing).await, Ok(Imported::default()));
    let long = format!("{}/{}/ü", "d".repeat(200), "e".repeat(255));
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, content) in
        [("a", &b"1"[..]), ("b/c/d", &[7; 512]), (&long, b"long"), ("empty", b""), ("z", &content)]
    {
        from.put(name, content).await.unwrap();
    }
    let archive = from.pack().await;
    assert_eq!(archive.len() % 512, 0);
    let done = to.runtime().import(to.id, upload(archive)).await.unwrap();
    assert_eq!(done, Imported { files: 5, bytes: 1 + 512 + 4 + 400_000 });
    let names = from.list("").await;
    assert_eq!(to.list("").await, names);
    for name in names {
        assert!(to.read(&name).await.unwrap() == from.read(&name).await.unwrap(), "{name}");
    }
    // A second import overwrites the first.
    let again = to.unpack(from.pack().await).await.unwrap();
    assert_eq!(again, done);
    let usage = |worker: Worker<'_>| {
        let runtime = worker.runtime();
        async move {
            let usage = runtime.usage(worker.id).await.unwrap();
            (usage.disk_bytes, usage.disk_entries)
        }
    };
    assert_eq!(usage(to).await, usage(from).await);
}

pub(crate) async fn an_imported_archive_is_visible_to_the_guest(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    // As `tar c .` and an archiver with the other long name format write it.
    let archive = tar()
        .directory("./")
        .directory("./conf/")
        .file("./conf/name", b"value")
        .called("conf/other", true)
        .file("short", b"of pax")
        .called("conf/third", false)
        .file("short", b"of gnu");
    let done = worker.unpack(archive.end()).await.unwrap();
    assert_eq!(done, Imported { files: 3, bytes: 17 });
    assert_eq!(worker.list("").await, ["conf/name", "conf/other", "conf/third"]);
    worker.put("note", b"value").await.unwrap();
    let (_, output) = worker.run(args(&["read", "/data/conf/name"])).await;
    assert_eq!(output.stdout, b"value");
    let (_, output) = worker.run(args(&["read", "/data/conf/third"])).await;
    assert_eq!(output.stdout, b"of gnu");
}

pub(crate) async fn a_forbidden_archive_entry_aborts_the_import(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.put("dir/file", b"as it was").await.unwrap();
    let mut hostile = Vec::new();
    for kind in b"123467" {
        hostile.push(tar().entry(*kind, "name", b""));
    }
    for name in ["/etc/passwd", "../up", "a/../../up", "..", "a//b", "a/./b", "a\tb"] {
        hostile.push(tar().file(name, b"x"));
        hostile.push(tar().called(name, true).file("innocent", b"x"));
        hostile.push(tar().called(name, false).file("innocent", b"x"));
    }
    for name in ["/abs/", "../", "a/../b/"] {
        hostile.push(tar().directory(name));
    }
    let (wide, long) = ("w".repeat(256), "n/".repeat(2_048) + "n");
    hostile.extend([
        tar().called(&wide, false).file("innocent", b""),
        tar().called(&long, false).file("innocent", b""),
        tar().file("twice", b"1").file("twice", b"2"),
        tar().file("twice", b"1").file("./twice", b"2"),
        tar().file("both", b"1").directory("both/"),
        tar().file("both", b"1").file("both/below", b"2"),
        tar().file("dir", b"in place of a directory"),
        tar().directory("dir/file/"),
        tar().file("dir/file/below", b"a file"),
    ]);
    for (n, archive) in hostile.into_iter().enumerate() {
        let before = format!("before-{n}");
        let mut whole = tar().file(&before, b"stays");
        whole.0.extend(archive.0);
        let refused = worker.unpack(whole.end()).await;
        assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Archive)), "{n}");
        assert_eq!(worker.read(&before).await.unwrap(), b"stays", "{n}");
        assert_eq!(worker.read("dir/file").await.unwrap(), b"as it was", "{n}");
        assert_eq!(worker.read("innocent").await, Err(Error::UnknownFile), "{n}");
    }
}

pub(crate) async fn bytes_that_are_no_archive_are_refused(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let whole = tar().file("a", &[7; 600]).end();
    let cut = |at: usize| whole[..at].to_vec();
    let mut flipped = whole.clone();
    flipped[3] ^= 1;
    for bad in [cut(0), cut(100), cut(512), cut(1_000), cut(1_536), flipped, vec![1; 2_048]] {
        let refused = worker.unpack(bad).await;
        assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Archive)));
    }
    assert_eq!(worker.unpack(whole).await, Ok(Imported { files: 1, bytes: 600 }));
}

pub(crate) async fn an_import_is_limited_by_the_quota(trial: &Trial<'_>) {
    let limits = [(LimitName::disk_bytes, 10_000), (LimitName::disk_entries, 3)];
    let worker = trial.limited(&limits).await;
    let past = |name, limit| Err(Error::LimitExceeded { name, limit });
    let large = tar().file("a", &[1; 9_000]).file("b", &[2; 2_000]);
    assert_eq!(worker.unpack(large.end()).await, past(LimitName::disk_bytes, 10_000));
    assert_eq!(worker.list("").await, ["a"]);
    let many = tar().directory("b").directory("c").directory("d");
    assert_eq!(worker.unpack(many.end()).await, past(LimitName::disk_entries, 3));
    let usage = worker.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (9_000, 3));
}
