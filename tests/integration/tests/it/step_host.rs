//! Steps of a runtime in this process: their conformance, and the bounds of their store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::stream::{self, StreamExt};
use skep_ci::{FileTree, Keep, Store, TreeNode, digest_of};
use skep_conformance::{Guest, Subject};
use skep_harness::{TestDir, test_dir};
use skep_protocol::step::{BlobList, CopiedTree, StepRequest};
use skep_protocol::{
    BlobDigest, BlobHash, ByteStream, Error, Invalid, LimitName, Role, RuntimeHandle, Steps,
};
use skep_sandbox::{Isolation, OutOfProcess};
use skep_steps::{
    ExecutorParts, LazyExecutor, Scratch, StepExecutor, StepHost, StepHostParts, WithSteps,
};

use crate::opening::sandbox_parts;

/// A host of steps with directories of its own.
struct StepSubject {
    host: StepHost,
    dir: TestDir,
}

impl StepSubject {
    fn new() -> Self {
        Self::with(u64::MAX)
    }

    /// Makes a host that stores at most this many bytes.
    fn with(most_stored: u64) -> Self {
        let dir = test_dir();
        for name in ["store", "scratch"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let open = |dir: &TestDir, name| {
            Dir::open_ambient_dir(dir.join(name), ambient_authority()).unwrap()
        };
        let keep = Keep { bytes: u64::MAX, age: Duration::from_secs(1 << 30) };
        let store = StepHost::open_store(open(&dir, "store"), &keep).unwrap();
        let (of_steps, scratch) = (store.clone(), open(&dir, "scratch"));
        let start = move || {
            let program = skep_harness::skep().to_owned();
            StepExecutor::start(ExecutorParts {
                sandbox: sandbox_parts(2),
                out_of_process: OutOfProcess::new(
                    program,
                    vec!["__run".into()],
                    Isolation::Process,
                ),
                store: of_steps.clone(),
                scratch: Scratch { dir: scratch.try_clone().unwrap(), guard: Box::new(()) },
                secrets: BTreeMap::new(),
            })
        };
        let host = StepHost::new(StepHostParts {
            store,
            executor: LazyExecutor::new(Box::new(start)),
            secrets: BTreeSet::new(),
            name: "here".into(),
            jobs: 2,
            most_memory: 1 << 30,
            most_stored,
        });
        Self { host, dir }
    }

    /// Makes the messages of a tree on another store, and stores all of it here.
    async fn tree(&self, files: &[(&str, &[u8])]) -> BlobDigest {
        let other = test_dir();
        let store =
            Store::open(Dir::open_ambient_dir(&*other, ambient_authority()).unwrap()).unwrap();
        let mut tree = FileTree::default();
        for (path, content) in files {
            let digest = store.put(content).unwrap();
            tree.add(path, TreeNode::File { digest, executable: false });
        }
        let root = tree.store(&store).unwrap();
        for blob in FileTree::blobs(&store, &root).unwrap() {
            let content = store.read_blob(&blob, u64::MAX).unwrap();
            self.put(&content).await.unwrap();
        }
        root
    }

    async fn put(&self, content: &[u8]) -> Result<BlobDigest, Error> {
        let digest = digest_of(content);
        self.host.put_blob(BlobHash::from_sha256(digest.sha256), bytes(content)).await?;
        Ok(digest)
    }

    /// Returns a request to run a guest.
    async fn request(&self, guest: &str, args: &[&str]) -> StepRequest {
        let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
        let component = self.put(&wasm).await.unwrap();
        let argv: Vec<_> = [guest].into_iter().chain(args.iter().copied()).collect();
        let request = serde_json::json!({
            "run": "one",
            "step": {
                "id": "a",
                "tool": guest,
                "component": component,
                "argv": argv,
                "log_bytes": 1000,
                "expected": { "outcomes": ["exited"] },
                "verify": 1,
                "seed": 0,
                "cacheable": true,
            },
        });
        serde_json::from_value(request).unwrap()
    }
}

#[async_trait::async_trait]
impl Subject for StepSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(WithSteps::new(Arc::new(self.host.clone()), Some(self.host.clone())))
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        std::fs::read(skep_harness::guest(guest.name())).unwrap()
    }
}

skep_conformance::step_conformance!(StepSubject::new());

fn bytes(content: &[u8]) -> ByteStream {
    let content: Vec<_> = content.chunks(100_000).map(|part| Ok(part.to_vec().into())).collect();
    stream::iter(content).boxed()
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_and_trees_past_the_room_are_refused() {
    let subject = StepSubject::with(8_000_000);
    let mut request = subject.request("probe", &["args"]).await;
    // A tree counts with each file that it names, since it is copied to disk so.
    let file = vec![7; 1_000_000];
    let names: Vec<_> = (0..40).map(|at| format!("file-{at}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), file.as_slice())).collect();
    let tree = subject.tree(&files).await;
    request.step.copied = Some(CopiedTree { guest: "/src".into(), tree });
    let refused = subject.host.start_step(request, Role::Admin).await;
    assert_eq!(refused.err(), Some(Error::StorageFull));
    // A refusal takes nothing, nor does a blob that is there.
    assert_eq!(subject.put(&[1; 8_000_000]).await, Err(Error::StorageFull));
    for _ in 0..20 {
        subject.put(&file).await.unwrap();
    }
    subject.put(&[1]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_none_is_refused() {
    let subject = StepSubject::new();
    let mut request = subject.request("probe", &["args"]).await;
    let tree = subject.put(b"no message of a directory").await.unwrap();
    request.step.trees.insert("/src".into(), tree);
    let refused = subject.host.start_step(request, Role::Admin).await;
    assert_eq!(refused.err(), Some(Invalid::Step.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_more_memory_than_the_machine_has_is_refused() {
    let subject = StepSubject::new();
    let mut request = subject.request("probe", &["args"]).await;
    request.step.limits.0.insert(LimitName::memory_bytes, 2 << 30);
    let refused = subject.host.start_step(request, Role::Admin).await;
    let expected = Error::LimitExceeded { name: LimitName::memory_bytes, limit: 1 << 30 };
    assert_eq!(refused.err(), Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_upload_that_breaks_off() {
    let subject = StepSubject::new();
    let digest = digest_of(b"ab");
    let parts = [Ok("a".into()), Err(Error::InvalidRequest(Invalid::Body))];
    let stream: ByteStream = stream::iter(parts).boxed();
    let broken = subject.host.put_blob(BlobHash::from_sha256(digest.sha256), stream).await;
    assert_eq!(broken, Err(Invalid::Body.into()));
    let list = BlobList { blobs: vec![digest] };
    assert_eq!(subject.host.missing_blobs(list.clone()).await.unwrap(), list);
    assert_eq!(std::fs::read_dir(subject.dir.join("store/tmp")).unwrap().count(), 0);
}
