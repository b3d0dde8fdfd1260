//! The key of a step: the messages that say all that its result depends on.

use std::collections::BTreeMap;
use std::io;

use skep_protocol::LimitName;

use crate::digest::{BlobDigest, to_message};
use crate::executor::StepJob;
use crate::guest_path::{OUT, TMP};
use crate::messages::{
    ActionMessage, CommandMessage, DurationMessage, NamedValue, PlatformMessage,
};
use crate::store::Store;
use crate::tree::FileTree;

/// The version of what a guest observes: its interfaces, clock, random numbers and file system. A
/// change that a guest can see raises it, and then nothing cached before is used. An upgrade of the
/// engine does not.
pub const WORLD: u32 = 1;

/// The digests that name an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionKey {
    /// The action: the key of the cache.
    pub action: BlobDigest,
    /// The root of everything that the guest can read.
    pub input_root: BlobDigest,
}

/// Stores the messages of an action and returns its key.
///
/// # Errors
/// If a tree of the job is not in the store, or the store cannot be written.
pub fn key(store: &Store, job: &StepJob, salt: &str) -> io::Result<ActionKey> {
    let input_root = input_root(store, job)?;
    let output_paths = job.out.iter().map(|pattern| pattern.spelling());
    let mut output_paths: Vec<_> = output_paths.collect();
    output_paths.sort();
    let named =
        |(name, value): &(String, String)| NamedValue { name: name.clone(), value: value.clone() };
    let mut environment: Vec<_> = job.env.iter().map(named).collect();
    environment.sort_by(|a, b| a.name.cmp(&b.name));
    let command = CommandMessage {
        arguments: job.argv.clone(),
        environment,
        platform: Some(platform(job)),
        output_paths,
    };
    let millis = job.limits.turn_deadline_ms;
    let timeout = DurationMessage {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or(0),
    };
    let action = ActionMessage {
        command_digest: Some(to_message(&store.put_message(&command)?)),
        input_root_digest: Some(to_message(&input_root)),
        timeout: Some(timeout),
        do_not_cache: !job.cacheable,
        salt: salt.as_bytes().to_vec(),
    };
    Ok(ActionKey { action: store.put_message(&action)?, input_root })
}

/// Returns one tree of all that the guest can read. A directory hides what lies below its path in
/// another.
fn input_root(store: &Store, job: &StepJob) -> io::Result<BlobDigest> {
    let path = |guest: &str| guest.trim_start_matches('/').to_owned();
    let all = job.trees.iter().chain(&job.copied);
    let mut mounts: BTreeMap<_, _> = all.map(|(guest, tree)| (path(guest), Some(*tree))).collect();
    mounts.entry(String::new()).or_insert(None);
    let mut inner: BTreeMap<String, BTreeMap<String, BlobDigest>> = BTreeMap::new();
    // Each comes after all that are mounted within it.
    while let Some((path, tree)) = mounts.pop_last() {
        let within = inner.remove(&path).unwrap_or_default();
        let digest = match tree {
            Some(tree) if within.is_empty() => tree,
            Some(tree) => FileTree::load(store, &tree)?.store_with(store, &within)?,
            None => FileTree::default().store_with(store, &within)?,
        };
        let outer = mounts.keys().filter_map(|outer| {
            let rest = path.strip_prefix(outer.as_str())?;
            let rest = if outer.is_empty() { Some(rest) } else { rest.strip_prefix('/') };
            rest.map(|rest| (outer.clone(), rest.to_owned()))
        });
        match outer.max_by_key(|(outer, _)| outer.len()) {
            Some((outer, rest)) => drop(inner.entry(outer).or_default().insert(rest, digest)),
            None => return Ok(digest),
        }
    }
    FileTree::default().store(store)
}

fn platform(job: &StepJob) -> PlatformMessage {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(all.insert(name.to_owned(), value));
    set("component", job.component.hex());
    set("expect", job.expected.text());
    set("isolation", if job.isolated { "process" } else { "thread" }.into());
    for (guest, _) in &job.trees {
        set(&format!("mount.{guest}"), "ro".into());
    }
    if let Some((guest, _)) = &job.copied {
        set(&format!("mount.{guest}"), "copy".into());
    }
    for guest in [OUT, TMP] {
        set(&format!("mount.{guest}"), "rw".into());
    }
    set("log_bytes", job.log_bytes.to_string());
    set("world", WORLD.to_string());
    if let Some(stdin) = &job.stdin {
        set("stdin", stdin.hex());
    }
    match job.seed {
        Some(seed) => set("seed", seed.to_string()),
        None => set("clock", "real".into()),
    }
    if job.deterministic {
        set("deterministic", "true".into());
    }
    if let Some(junit) = &job.junit {
        set("junit", junit.clone());
    }
    if job.verify > 1 {
        set("verify", job.verify.to_string());
    }
    for grant in &job.http {
        set(&format!("http.{grant}"), "allowed".into());
    }
    for name in &job.secrets {
        set(&format!("secret.{name}"), "granted".into());
    }
    let limits = LimitName::ALL.iter().filter(|name| name.is_per_worker());
    for name in limits.filter(|name| **name != LimitName::turn_deadline_ms) {
        set(&format!("limit.{name}"), job.limits.get(*name).to_string());
    }
    let properties = all.into_iter().map(|(name, value)| NamedValue { name, value }).collect();
    PlatformMessage { properties }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::executor::StepJob;
    use crate::log::LogWriter;
    use crate::tests::testing;
    use crate::tree::TreeNode;

    fn tree(store: &Store, content: &[u8]) -> BlobDigest {
        let mut tree = FileTree::default();
        let digest = store.put(content).unwrap();
        tree.add("file", TreeNode::File { digest, executable: false });
        tree.store(store).unwrap()
    }

    fn job(trees: &[(&str, BlobDigest)]) -> StepJob {
        let component = crate::digest::digest_of(b"");
        let spec = serde_json::json!({
            "id": "a",
            "tool": "a",
            "component": component,
            "argv": ["a"],
            "trees": trees.iter().copied().collect::<BTreeMap<_, _>>(),
            "log_bytes": 1,
            "expected": { "outcomes": ["exited"] },
            "verify": 1,
        });
        let spec = serde_json::from_value(spec).unwrap();
        StepJob::from_spec(&spec, Arc::new(LogWriter::discard())).unwrap()
    }

    #[test]
    fn each_mounted_tree_is_in_the_key_also_one_that_holds_another() {
        let (store, _cache) = testing::store();
        let (a, b, c) = (tree(&store, b"a"), tree(&store, b"b"), tree(&store, b"c"));
        let all = [
            vec![("/work", a)],
            vec![("/work", b)],
            vec![("/work", a), ("/work/gen", c)],
            vec![("/work", b), ("/work/gen", c)],
            vec![("/work", b), ("/work/gen", a)],
            vec![("/", a), ("/work", b), ("/work/gen/deep", c)],
            vec![("/", a), ("/work", c), ("/work/gen/deep", c)],
            vec![("/", b), ("/work", c), ("/work/gen/deep", c)],
            vec![("/work", a), ("/work-gen", c)],
            vec![("/work", a), ("/work,/gen", c)],
        ];
        let keys = all.iter().map(|trees| key(&store, &job(trees), "").unwrap().action);
        let distinct: std::collections::BTreeSet<_> = keys.collect();
        assert_eq!(distinct.len(), all.len());
    }
}
