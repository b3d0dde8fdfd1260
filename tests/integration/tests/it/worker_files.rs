//! A worker's files from outside, against tricks of its guest and crashes of its host.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use skep_harness::{killed, test_dir};
use skep_protocol::{
    Artifacts, ByteStream, CreateWorker, Error, FileCondition, FileName, FileView, Files, Invalid,
    ListFiles, NewInput, Outcome, Output, Overview, Payload, RemoveFile, Role, RunRequest, Sent,
    Stored, Turns, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::Embedded;

use crate::embedded::open;

const PATIENCE: Duration = Duration::from_secs(30);

fn pieces(pieces: &[&[u8]]) -> ByteStream {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(piece.to_vec().into())).collect();
    stream::iter(pieces).boxed()
}

fn name(name: &str) -> FileName {
    name.parse().unwrap()
}

async fn create(runtime: &Embedded, guest: &str) -> WorkerId {
    let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
    let component = runtime.put_component(pieces(&[&wasm]), Role::Admin).await.unwrap().item;
    let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component.digest) };
    runtime.create(request).await.unwrap().item.worker_id
}

async fn send(runtime: &Embedded, worker: WorkerId, payload: Payload) -> Outcome {
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    match runtime.send(worker, input).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("no outcome after {PATIENCE:?}"),
    }
}

async fn ask(runtime: &Embedded, worker: WorkerId, text: &str) -> String {
    let payload = Payload { content_type: "text/plain".into(), body: text.to_owned().into() };
    match send(runtime, worker, payload).await.output {
        Some(Output::Message(payload)) => String::from_utf8(payload.body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn probe(runtime: &Embedded, worker: WorkerId, args: &[&str]) {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    let body = serde_json::to_vec(&RunRequest { args, ..RunRequest::default() }).unwrap();
    let outcome = send(
        runtime,
        worker,
        Payload { content_type: "application/json".into(), body: body.into() },
    )
    .await;
    match outcome.output {
        Some(Output::Run(run)) => assert_eq!(run.exit_code, Some(0), "{run:?}"),
        other => panic!("{other:?}"),
    }
}

async fn put(
    runtime: &Embedded,
    worker: WorkerId,
    file: &str,
    content: &[u8],
) -> Result<Stored<FileView>, Error> {
    runtime.write_file(worker, name(file), pieces(&[content]), FileCondition::Any).await
}

async fn read(runtime: &Embedded, worker: WorkerId, file: &str) -> Result<Vec<u8>, Error> {
    let (_, mut pieces) = runtime.read_file(worker, name(file), None).await?;
    let mut content = Vec::new();
    while let Some(piece) = pieces.next().await {
        content.extend(piece?);
    }
    Ok(content)
}

async fn list(runtime: &Embedded, worker: WorkerId) -> Vec<String> {
    let page = runtime.files(worker, ListFiles::default()).await.unwrap();
    page.items.into_iter().map(|file| file.name.into()).collect()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_guest_are_not_followed_from_outside() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = create(&runtime, "probe").await;
    for args in [
        &["mkdir", "/data/dir"][..],
        &["append", "/data/dir/file", "content"],
        &["symlink", "dir/file", "/data/link"],
        &["symlink", "dir", "/data/dir-link"],
        &["symlink", "../../../state.db", "/data/out"],
        &["symlink", "../incoming", "/data/aside"],
    ] {
        probe(&runtime, worker, args).await;
    }
    assert_eq!(list(&runtime, worker).await, ["dir/file"]);
    let refused = Error::InvalidRequest(Invalid::NotAFile);
    for file in ["link", "dir-link", "out", "aside"] {
        assert_eq!(read(&runtime, worker, file).await, Err(refused.clone()), "{file}");
        assert_eq!(put(&runtime, worker, file, b"x").await, Err(refused.clone()), "{file}");
        assert_eq!(
            runtime.remove_file(worker, name(file), RemoveFile::default()).await,
            Err(refused.clone()),
            "{file}"
        );
    }
    assert_eq!(read(&runtime, worker, "dir-link/file").await, Err(Error::UnknownFile));
    assert_eq!(put(&runtime, worker, "dir-link/new", b"x").await, Err(refused.clone()));
    assert_eq!(put(&runtime, worker, "aside/new", b"x").await, Err(refused));
    let mut pieces = runtime.export(worker).await.unwrap();
    let mut archive = Vec::new();
    while let Some(piece) = pieces.next().await {
        archive.extend(piece.unwrap());
    }
    // A header for the directory, one for the file, its content, two blocks for the end.
    assert_eq!(archive.len(), 512 * 5);
    assert_eq!(list(&runtime, worker).await, ["dir/file"]);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_hidden_from_the_guest_and_counts() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = create(&runtime, "scribe").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<_, Error>>(1);
    let body = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let uploading = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.write_file(worker, name("big"), body.boxed(), FileCondition::Any).await }
    });
    sender.send(Ok(vec![7; 100_000].into())).await.unwrap();
    until("it counts", async || runtime.usage(worker).await.unwrap().disk_bytes == 100_000).await;
    let own = dir.join(format!("workers/{worker}"));
    assert_eq!((entries(&own.join("data")), entries(&own.join("incoming"))), (0, 1));
    assert!(list(&runtime, worker).await.is_empty());
    // A host that is killed now leaves a partial upload, which is removed when the directory is
    // next opened.
    let copy = killed(&dir);
    let again = open(&copy);
    let own = copy.join(format!("workers/{worker}"));
    assert_eq!(entries(&own.join("incoming")), 1);
    assert!(list(&again, worker).await.is_empty());
    ask(&again, worker, "echo").await;
    assert_eq!(entries(&own.join("incoming")), 0);
    let usage = again.usage(worker).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (0, 0));
    again.shutdown(Duration::ZERO).await;

    assert_eq!(ask(&runtime, worker, "save note text").await, "ok");
    sender.send(Ok(vec![8; 100_000].into())).await.unwrap();
    drop(sender);
    let stored = uploading.await.unwrap().unwrap();
    assert_eq!((stored.created, stored.item.bytes), (true, 200_000));
    assert_eq!(list(&runtime, worker).await, ["big", "note"]);
    let usage = runtime.usage(worker).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (200_004, 2));
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_workers_upload_ends_and_leaves_nothing() {
    let dir = test_dir();
    let runtime = open(&dir);
    for has_directory in [false, true] {
        let worker = create(&runtime, "scribe").await;
        if has_directory {
            ask(&runtime, worker, "echo").await;
        }
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<_, Error>>(1);
        let body = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let uploading = tokio::spawn({
            let runtime = runtime.clone();
            async move {
                runtime.write_file(worker, name("a/b/c"), body.boxed(), FileCondition::Any).await
            }
        });
        sender.send(Ok(vec![7; 1_000].into())).await.unwrap();
        let own = dir.join(format!("workers/{worker}"));
        until("it begins", async || entries(&own.join("incoming")) == 1).await;
        runtime.remove(worker).await.unwrap();
        until("its directory goes", async || !own.exists()).await;
        drop(sender);
        assert_eq!(uploading.await.unwrap(), Err(Error::WorkerRemoved));
        assert_eq!(put(&runtime, worker, "x", b"").await, Err(Error::WorkerRemoved));
        until("the trash is empty", async || entries(&dir.join("trash")) == 0).await;
        assert!(!own.exists(), "the directory was made again");
    }
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_written_before_the_first_connection() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = create(&runtime, "scribe").await;
    put(&runtime, worker, "seed", b"given").await.unwrap();
    assert!(ask(&runtime, worker, "whoami").await.contains("connected created"));
    assert_eq!(ask(&runtime, worker, "load seed").await, "given");
    runtime.shutdown(Duration::from_secs(5)).await;
    let runtime = open(&dir);
    assert!(ask(&runtime, worker, "whoami").await.contains("connected input"));
    runtime.shutdown(Duration::ZERO).await;
    // Lost files are reported for every worker that had some, connected before or not.
    let runtime = open(&dir);
    let other = create(&runtime, "scribe").await;
    put(&runtime, other, "seed", b"given").await.unwrap();
    runtime.shutdown(Duration::from_secs(5)).await;
    std::fs::remove_dir_all(dir.join(format!("workers/{other}"))).unwrap();
    let runtime = open(&dir);
    assert!(list(&runtime, other).await.is_empty());
    put(&runtime, other, "seed", b"again").await.unwrap();
    until("it is said", async || {
        let said = runtime.diagnostics(Some(other)).await.unwrap();
        said.iter().any(|one| one.code == skep_protocol::DiagnosticCode::DirectoryMissing)
    })
    .await;
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_reports_the_number_of_hidden_names() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = create(&runtime, "probe").await;
    probe(&runtime, worker, &["append", "/data/shown", "text"]).await;
    let whole = runtime.files(worker, ListFiles::default()).await.unwrap();
    assert_eq!((whole.items.len(), whole.diagnostics), (1, vec![]));
    probe(&runtime, worker, &["append", "/data/new\nline", "text"]).await;
    probe(&runtime, worker, &["mkdir", "/data/bell\u{7}"]).await;
    let page = runtime.files(worker, ListFiles::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let [said] = &page.diagnostics[..] else { panic!("{:?}", page.diagnostics) };
    assert_eq!(said.code, skep_protocol::DiagnosticCode::NamesNotShown);
    assert!(said.message.starts_with("2 files and directories"), "{}", said.message);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_uploads_and_a_guest_share_one_count() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = create(&runtime, "probe").await;
    let uploads: Vec<_> = (0..40)
        .map(|n| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                // Some with the same name, some in directories that other uploads also make.
                let file = format!("d{}/e{}/f{}", n % 2, n % 4, n % 20);
                let content = vec![b'x'; 1_000 + n];
                put(&runtime, worker, &file, &content).await.unwrap();
            })
        })
        .collect();
    for n in 0..5 {
        probe(&runtime, worker, &["append", &format!("/data/g{n}"), "text"]).await;
        probe(&runtime, worker, &["rm", &format!("/data/g{n}")]).await;
    }
    for upload in uploads {
        upload.await.unwrap();
    }
    let usage = runtime.usage(worker).await.unwrap();
    runtime.shutdown(Duration::from_secs(5)).await;
    // A new count has the same result.
    let runtime = open(&dir);
    let recorded = runtime.usage(worker).await.unwrap();
    assert_eq!(
        (recorded.disk_bytes, recorded.disk_entries),
        (usage.disk_bytes, usage.disk_entries)
    );
    probe(&runtime, worker, &["cat"]).await;
    let counted = runtime.usage(worker).await.unwrap();
    assert_eq!((counted.disk_bytes, counted.disk_entries), (usage.disk_bytes, usage.disk_entries));
    assert_eq!(list(&runtime, worker).await.len(), 20);
    runtime.shutdown(Duration::ZERO).await;
}
