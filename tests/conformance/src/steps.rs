//! Steps of pipelines: blobs by content, and commands over them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use skep_protocol::ci::StepOutcome;
use skep_protocol::step::{
    BlobList, ExpectedEnds, MOST_BLOBS, StepCache, StepProgress, StepRequest, StepRetries,
    StepSpec, StepState, StepView,
};
use skep_protocol::*;

use crate::Guest;
use crate::trial::{PATIENCE, Trial, no_digest, upload, upload_in};

/// A change of a step that makes it malformed, with the digest of a blob that is not stored.
type Change = fn(&mut StepSpec, BlobDigest);

fn digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest { sha256: Sha256::digest(bytes).into(), bytes: bytes.len() as u64 }
}

fn hash(digest: &BlobDigest) -> BlobHash {
    BlobHash::from_sha256(digest.sha256)
}

/// Stores a guest and returns a step that runs it with these arguments.
async fn step(trial: &Trial<'_>, run: &str, guest: Guest, args: &[&str]) -> StepRequest {
    let wasm = trial.wasm(guest);
    let component = digest(&wasm);
    trial.runtime().put_blob(hash(&component), upload(wasm)).await.unwrap();
    let argv = [guest.name()].into_iter().chain(args.iter().copied());
    StepRequest {
        run: run.parse().unwrap(),
        salt: String::new(),
        cache: StepCache::Use,
        step: StepSpec {
            id: "greet[n=1]".into(),
            tool: guest.name().into(),
            component,
            isolated: false,
            argv: argv.map(str::to_owned).collect(),
            env: BTreeMap::new(),
            stdin: None,
            trees: BTreeMap::new(),
            copied: None,
            out: Vec::new(),
            limits: LimitChanges::default(),
            log_bytes: 1 << 20,
            seed: Some(0),
            deterministic: false,
            http: Vec::new(),
            secrets: Default::default(),
            expected: ExpectedEnds { outcomes: vec![StepOutcome::Exited], exits: Some(vec![0]) },
            retries: StepRetries::default(),
            verify: 1,
            junit: None,
            cacheable: true,
        },
    }
}

/// Follows a step to its end, and returns it with its whole log.
async fn ended(trial: &Trial<'_>, request: &StepRequest) -> StepView {
    let runtime = trial.runtime();
    let mut view = runtime.start_step(request.clone(), Role::Admin).await.unwrap();
    let mut log = std::mem::take(&mut view.log);
    while view.result.is_none() {
        let after = log.last().map_or(0, |record| record.seq);
        let progress = StepProgress { after, wait: Some(PATIENCE) };
        view = runtime.step(view.key, progress).await.unwrap();
        log.append(&mut view.log);
    }
    assert_eq!(view.state, StepState::Ended);
    assert!((1..).zip(&log).all(|(seq, record)| record.seq == seq), "{log:?}");
    StepView { log, ..view }
}

async fn blob(trial: &Trial<'_>, digest: &str) -> Vec<u8> {
    let mut stream = trial.runtime().read_blob(digest.parse().unwrap()).await.unwrap();
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend(chunk.unwrap());
    }
    all
}

pub(crate) async fn a_blob_is_stored_by_its_hash(trial: &Trial<'_>) {
    let runtime = trial.runtime();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let (stored, other) = (digest(&content), digest(b"other"));
    let list = || BlobList { blobs: vec![stored, other] };
    assert_eq!(runtime.missing_blobs(list()).await.unwrap(), list());
    runtime.put_blob(hash(&stored), upload_in(content.clone(), 7_001)).await.unwrap();
    assert_eq!(runtime.missing_blobs(list()).await.unwrap().blobs, [other]);
    assert_eq!(blob(trial, &stored.text()).await, content);
    // The same blob again is the same blob.
    runtime.put_blob(hash(&stored), upload(content)).await.unwrap();
    let refused = runtime.put_blob(hash(&other), upload(b"another".to_vec())).await;
    assert_eq!(refused, Err(Invalid::Blob.into()));
    assert_eq!(runtime.missing_blobs(list()).await.unwrap().blobs, [other]);
    let unknown = runtime.read_blob(hash(&other)).await.err();
    assert_eq!(unknown, Some(Error::UnknownBlob(hash(&other))));
    let many = BlobList { blobs: vec![other; MOST_BLOBS + 1] };
    assert_eq!(runtime.missing_blobs(many).await, Err(Invalid::Body.into()));
}

pub(crate) async fn a_step_runs_with_its_arguments_and_is_then_cached(trial: &Trial<'_>) {
    let request = step(trial, "first", Guest::Hello, &["bees"]).await;
    let view = ended(trial, &request).await;
    let result = view.result.unwrap();
    assert!(result.as_expected && result.cached.is_none(), "{result:?}");
    assert_eq!((result.outcome, result.exit_code), (StepOutcome::Exited, Some(0)));
    let printed = blob(trial, result.stdout.digest.as_deref().unwrap()).await;
    let logged: Vec<u8> =
        view.log.iter().flat_map(|record| [record.content(), b"\n".to_vec()].concat()).collect();
    assert_eq!(printed, logged);
    assert!(String::from_utf8(printed).unwrap().contains("bees"));
    // The same step of the same run is the same step.
    let again = ended(trial, &request).await;
    assert_eq!((again.key, again.result.unwrap()), (view.key, result.clone()));
    let other = StepRequest { run: "second".parse().unwrap(), ..request.clone() };
    let cached = ended(trial, &other).await.result.unwrap();
    assert_eq!(cached.cached.unwrap().from_run, "first");
    assert_eq!((cached.action, cached.stdout), (result.action.clone(), result.stdout));
    for cache in [StepCache::Refresh, StepCache::Off] {
        let run = format!("not-cached-{}", cache as u8).parse().unwrap();
        let fresh = ended(trial, &StepRequest { run, cache, ..request.clone() }).await;
        assert!(fresh.result.unwrap().cached.is_none());
    }
    let salted =
        StepRequest { run: "salted".parse().unwrap(), salt: "another".into(), ..request.clone() };
    assert!(ended(trial, &salted).await.result.unwrap().cached.is_none());
}

pub(crate) async fn a_failed_step_is_not_cached(trial: &Trial<'_>) {
    let request = step(trial, "first", Guest::Probe, &["exit", "3"]).await;
    let result = ended(trial, &request).await.result.unwrap();
    assert_eq!((result.exit_code, result.as_expected), (Some(3), false));
    let again = StepRequest { run: "second".parse().unwrap(), ..request };
    assert!(ended(trial, &again).await.result.unwrap().cached.is_none());
}

pub(crate) async fn a_step_with_another_specification_is_a_conflict(trial: &Trial<'_>) {
    let request = step(trial, "first", Guest::Hello, &["one"]).await;
    ended(trial, &request).await;
    let mut other = request.clone();
    other.step.argv.push("two".into());
    let refused = trial.runtime().start_step(other, Role::Admin).await;
    assert_eq!(refused.err(), Some(Conflict::Step.into()));
}

pub(crate) async fn a_malformed_step_is_refused(trial: &Trial<'_>) {
    let good = step(trial, "first", Guest::Hello, &[]).await;
    let missing = BlobDigest { sha256: no_digest(), bytes: 1 };
    let changes: [(&str, Change); 9] = [
        ("a pattern outside", |step, _| step.out = vec!["../x".into()]),
        ("a relative mount", |step, it| _ = step.trees.insert("a".into(), it)),
        ("a mount above", |step, it| _ = step.trees.insert("/a/../..".into(), it)),
        ("a mount over /out", |step, it| _ = step.trees.insert("/out/x".into(), it)),
        ("no program name", |step, _| step.argv.clear()),
        ("a zero byte", |step, _| step.argv.push("a\0b".into())),
        ("a large log", |step, _| step.log_bytes = u64::MAX),
        ("many runs", |step, _| step.verify = 1_000_000),
        ("many repetitions", |step, _| step.retries.most = 1_000_000),
    ];
    for (what, change) in changes {
        let mut request = good.clone();
        change(&mut request.step, missing);
        let refused = trial.runtime().start_step(request, Role::Admin).await;
        assert_eq!(refused.err(), Some(Invalid::Step.into()), "{what}");
    }
    let changes: [Change; 3] = [
        |step, it| step.component = it,
        |step, it| step.stdin = Some(it),
        |step, it| _ = step.trees.insert("/src".into(), it),
    ];
    for change in changes {
        let mut request = good.clone();
        change(&mut request.step, missing);
        let refused = trial.runtime().start_step(request, Role::Admin).await;
        assert_eq!(refused.err(), Some(Error::UnknownBlob(hash(&missing))));
    }
    let unknown = trial.runtime().step("unknown".parse().unwrap(), StepProgress::default()).await;
    assert_eq!(unknown.err(), Some(Error::UnknownStep));
}

pub(crate) async fn a_cancelled_step_ends_and_may_run_again(trial: &Trial<'_>) {
    let mut request = step(trial, "first", Guest::Probe, &["spin"]).await;
    request.step.limits.0.insert(LimitName::turn_deadline_ms, 120_000);
    let runtime = trial.runtime();
    let view = runtime.start_step(request.clone(), Role::Admin).await.unwrap();
    assert_ne!(view.state, StepState::Ended);
    runtime.cancel_step(view.key.clone()).await.unwrap();
    let progress = StepProgress { after: 0, wait: Some(PATIENCE) };
    let view = runtime.step(view.key, progress).await.unwrap();
    assert_eq!(view.result.unwrap().outcome, StepOutcome::Cancelled);
    let view = runtime.start_step(request, Role::Admin).await.unwrap();
    assert!(view.result.is_none());
    runtime.cancel_step(view.key).await.unwrap();
}

pub(crate) async fn a_question_waits_for_news_of_a_step(trial: &Trial<'_>) {
    let mut request = step(trial, "first", Guest::Probe, &["nap", "0.7"]).await;
    request.step.seed = None;
    let runtime = trial.runtime();
    let began = Instant::now();
    let view = runtime.start_step(request.clone(), Role::Admin).await.unwrap();
    let progress = StepProgress { after: 0, wait: Some(PATIENCE) };
    let news = runtime.step(view.key, progress).await.unwrap();
    assert!(!news.log.is_empty() || news.state == StepState::Ended);
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
    let result = ended(trial, &request).await.result.unwrap();
    assert!(result.as_expected && result.timing.run_ms >= 600.0, "{result:?}");
    // What depends on the real clock is never cached, whatever the request says.
    let again = StepRequest { run: "second".parse().unwrap(), ..request };
    assert!(ended(trial, &again).await.result.unwrap().cached.is_none());
}
