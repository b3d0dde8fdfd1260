//! `skep ci explain`: what is different between a step's action now and the last one.
//!
//! Messages are compared field by field and trees from the top down; equal subtrees are not read.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub use skep_protocol::ci::StepExplanation;

use crate::action_run::cached;
use crate::digest::BlobDigest;
use crate::dry::{is_cached, of_step};
use crate::log::LogWriter;
use crate::messages::{
    ActionMessage, CommandMessage, DigestMessage, DirectoryMessage, DurationMessage, NamedValue,
};
use crate::plan::Plan;
use crate::prepare::{PrepareError, Surroundings};
use crate::records::read_last;
use crate::result::StepResult;
use crate::sources::Sources;
use crate::step_run::prepare;
use crate::store::Store;
use crate::toolbox::Toolbox;

/// Maximum number of differences that are listed.
const MOST: usize = 200;

/// Explains the steps of a plan.
///
/// # Errors
/// If a key cannot be made.
pub fn explain(
    plan: &Plan,
    tools: &Toolbox,
    sources: &Sources,
    store: &Store,
    project: &str,
) -> Result<Vec<StepExplanation>, PrepareError> {
    let around = Surroundings { store, sources, tools };
    let mut results: Vec<Option<StepResult>> = Vec::new();
    let mut all = Vec::new();
    for step in &plan.steps {
        let mut explained = StepExplanation::new(&step.id);
        let unknown = step.needs.iter().find(|&&need| results[need].is_none());
        let mut result = None;
        if let Some(&need) = unknown {
            explained.note =
                Some(format!("{} runs first, and may change its inputs", plan.steps[need].id));
        } else {
            let by_name = |name: &str| {
                let needs = step.needs.iter().filter(|&&at| plan.steps[at].name == name);
                needs.filter_map(|&at| results[at].as_ref()).collect()
            };
            let log = Arc::new(LogWriter::discard());
            let (job, key) = prepare(&around, step, &by_name, &plan.salt, log)?;
            explained.action = Some(key.action.text());
            explained.cached = is_cached(store, &key.action);
            result = cached(store, &job, &key).map(|found| of_step(found, step));
            match read_last(store, project, &step.id) {
                None => explained.note = Some("it is new: no run had this step".into()),
                Some(last) => {
                    explained.last_run = Some(last.run_id.clone());
                    let before = last.digest();
                    if let (Some(earlier), Some(before)) = (&last.before, before)
                        && let Some(digest) = earlier.digest()
                        && let Ok(changes) = changes(store, &digest, &before)
                    {
                        explained.earlier_run = Some(earlier.run_id.clone());
                        explained.earlier_changes = changes;
                    }
                    match before.map(|before| changes(store, &before, &key.action)) {
                        Some(Ok(changes)) => explained.changes = changes,
                        _ => {
                            explained.note =
                                Some("what it was before is not in the cache any more".into())
                        }
                    }
                }
            }
            if !step.cached {
                explained.note = Some("its result is never cached".into());
            }
        }
        results.push(result);
        all.push(explained);
    }
    Ok(all)
}

/// Lists what is different between two actions.
pub(crate) fn changes(
    store: &Store,
    before: &BlobDigest,
    after: &BlobDigest,
) -> io::Result<Vec<String>> {
    let mut out = Vec::new();
    if before == after {
        return Ok(out);
    }
    let (a, b): (ActionMessage, ActionMessage) = (store.message(before)?, store.message(after)?);
    if a.timeout != b.timeout {
        out.push(format!("timeout {} -> {}", duration(&a.timeout), duration(&b.timeout)));
    }
    if a.salt != b.salt {
        out.push("salt changed".into());
    }
    if a.do_not_cache != b.do_not_cache {
        out.push(format!("cache {}", if b.do_not_cache { "on -> off" } else { "off -> on" }));
    }
    let command = |digest: &Option<DigestMessage>| -> io::Result<CommandMessage> {
        store.message(&digest_of(digest)?)
    };
    let (old, new) = (command(&a.command_digest)?, command(&b.command_digest)?);
    arguments(&old.arguments, &new.arguments, &mut out);
    named("env", &old.environment, &new.environment, &mut out);
    let properties = |command: &CommandMessage| {
        command.platform.clone().map(|platform| platform.properties).unwrap_or_default()
    };
    named("", &properties(&old), &properties(&new), &mut out);
    if old.output_paths != new.output_paths {
        let (old, new) = (old.output_paths.join(", "), new.output_paths.join(", "));
        out.push(format!("outputs [{old}] -> [{new}]"));
    }
    let roots = (digest_of(&a.input_root_digest)?, digest_of(&b.input_root_digest)?);
    tree(store, "/", Some(&roots.0), Some(&roots.1), &mut out)?;
    let more = out.len().saturating_sub(MOST);
    if more > 0 {
        out.truncate(MOST);
        out.push(format!("and {more} more"));
    }
    Ok(out)
}

fn arguments(old: &[String], new: &[String], out: &mut Vec<String>) {
    if old == new {
        return;
    }
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|word| !b.contains(word)).take(5).cloned().collect()
    };
    let (gone, added) = (only(old, new), only(new, old));
    match (gone.is_empty(), added.is_empty()) {
        (true, true) => out.push("the order of the arguments changed".into()),
        (false, true) => out.push(format!("arguments removed: {}", gone.join(" "))),
        (true, false) => out.push(format!("arguments added: {}", added.join(" "))),
        (false, false) => {
            out.push(format!("arguments: {} -> {}", gone.join(" "), added.join(" ")));
        }
    }
}

fn named(kind: &str, old: &[NamedValue], new: &[NamedValue], out: &mut Vec<String>) {
    let map = |list: &[NamedValue]| -> BTreeMap<String, String> {
        list.iter().map(|it| (it.name.clone(), it.value.clone())).collect()
    };
    let (old, new) = (map(old), map(new));
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let label = |name: &str| match kind {
        "" => name.to_owned(),
        kind => format!("{kind} {name}"),
    };
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                out.push(format!("{} {} -> {}", label(name), value(name, a), value(name, b)));
            }
            (None, Some(b)) => out.push(format!("{} added: {}", label(name), value(name, b))),
            (Some(_), None) => out.push(format!("{} removed", label(name))),
            (None, None) => {}
        }
    }
}

/// Shortens a digest and shows a limit in its unit.
fn value(name: &str, value: &str) -> String {
    if crate::digest::from_hex(value).is_some() {
        return value[..12].to_owned();
    }
    let limit =
        name.strip_prefix("limit.").and_then(|name| name.parse::<skep_protocol::LimitName>().ok());
    match (limit, value.parse()) {
        (Some(limit), Ok(number)) => limit.unit().show(number),
        _ => value.to_owned(),
    }
}

fn tree(
    store: &Store,
    path: &str,
    before: Option<&BlobDigest>,
    after: Option<&BlobDigest>,
    out: &mut Vec<String>,
) -> io::Result<()> {
    if before == after || out.len() > MOST {
        return Ok(());
    }
    let read = |digest: Option<&BlobDigest>| -> io::Result<DirectoryMessage> {
        digest.map_or_else(|| Ok(DirectoryMessage::default()), |digest| store.message(digest))
    };
    let (a, b) = (read(before)?, read(after)?);
    let files = |message: &DirectoryMessage| -> BTreeMap<String, String> {
        let files = message.files.iter().map(|file| {
            let hash = file.digest.as_ref().map_or("", |digest| &digest.hash);
            let mode = if file.is_executable { "x" } else { "" };
            (file.name.clone(), format!("{}{mode}", &hash[..hash.len().min(8)]))
        });
        let links =
            message.symlinks.iter().map(|link| (link.name.clone(), format!("-> {}", link.target)));
        files.chain(links).collect()
    };
    let (old, new) = (files(&a), files(&b));
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a != b => out.push(format!("{path}{name} changed ({a} -> {b})")),
            (None, Some(b)) => out.push(format!("{path}{name} added ({b})")),
            (Some(_), None) => out.push(format!("{path}{name} removed")),
            _ => {}
        }
    }
    let folders = |message: &DirectoryMessage| -> io::Result<BTreeMap<String, BlobDigest>> {
        let each = message.directories.iter();
        each.map(|it| Ok((it.name.clone(), digest_of(&it.digest)?))).collect()
    };
    let (old, new) = (folders(&a)?, folders(&b)?);
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        tree(store, &format!("{path}{name}/"), old.get(name), new.get(name), out)?;
    }
    Ok(())
}

fn duration(duration: &Option<DurationMessage>) -> String {
    let millis =
        duration.as_ref().map_or(0, |it| it.seconds * 1_000 + i64::from(it.nanos / 1_000_000));
    skep_protocol::Unit::Millis.show(u64::try_from(millis).unwrap_or(0))
}

fn digest_of(message: &Option<DigestMessage>) -> io::Result<BlobDigest> {
    let digest = message.as_ref().and_then(crate::digest::from_message);
    digest.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message has no digest"))
}
