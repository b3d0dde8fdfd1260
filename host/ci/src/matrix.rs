//! The combinations of a step's matrix.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use crate::fault::FileFault;
use crate::file::{MatrixGlob, MatrixTable, StepTable};
use crate::listing::{ListedKind, ProjectFiles};
use crate::pattern::Pattern;

/// Maximum number of combinations, unless the step says otherwise.
const MOST: u64 = 256;

/// Maximum number of combinations that a step may ask for.
const HIGHEST: u64 = 10_000;

/// The values of one combination by key.
pub(crate) type MatrixLeg = BTreeMap<String, String>;

/// Returns the combinations of a step, at least one.
///
/// # Errors
/// If there are too many, or a value cannot be used.
pub(crate) fn legs(step: &StepTable, files: &ProjectFiles) -> Result<Vec<MatrixLeg>, FileFault> {
    let most = step.max.as_ref().map_or(MOST, |max| *max.get_ref());
    if let Some(max) = step.max.as_ref().filter(|max| *max.get_ref() > HIGHEST) {
        let message = format!("max is at most {HIGHEST}");
        return Err(FileFault::at(max.span(), message));
    }
    let mut axes: Vec<(&str, Vec<String>)> = Vec::new();
    let mut count: u64 = 1;
    for (key, values) in &step.matrix {
        let found = values_of(values, files)?;
        count = count.saturating_mul(found.len() as u64);
        // Counted before it is made: a small file can ask for a million.
        if count > most {
            let message =
                format!("the matrix has {count} combinations or more; the maximum is {most}");
            let hint = format!("set `max` up to {HIGHEST}, or split the step");
            return Err(FileFault::at(values.span(), message).hint(hint));
        }
        axes.push((key, found));
    }
    let mut legs = vec![MatrixLeg::new()];
    for (key, values) in axes {
        let with = |leg: &MatrixLeg, value: &String| {
            let mut leg = leg.clone();
            leg.insert(key.to_owned(), value.clone());
            leg
        };
        legs =
            legs.iter().flat_map(|leg| values.iter().map(move |value| with(leg, value))).collect();
    }
    let excluded = |leg: &MatrixLeg| {
        step.exclude.iter().any(|one| one.iter().all(|(key, value)| leg.get(key) == Some(value)))
    };
    legs.retain(|leg| !excluded(leg));
    Ok(legs)
}

fn values_of(
    values: &Spanned<MatrixTable>,
    files: &ProjectFiles,
) -> Result<Vec<String>, FileFault> {
    let project = match values.get_ref() {
        MatrixTable::List(list) => {
            let distinct: BTreeSet<_> = list.iter().collect();
            if distinct.len() != list.len() {
                return Err(FileFault::at(values.span(), "a value of the matrix is there twice"));
            }
            if list.is_empty() {
                return Err(FileFault::at(values.span(), "a key of the matrix needs a value"));
            }
            return Ok(list.clone());
        }
        MatrixTable::Project(project) => project,
    };
    let (MatrixGlob::Glob(glob) | MatrixGlob::Dirs(glob)) = project;
    let pattern = Pattern::parse(glob)
        .map_err(|error| FileFault::at(values.span(), format!("bad glob `{glob}`: {error}")))?;
    let mut found = BTreeSet::new();
    for (path, stamp) in files.visible(false) {
        match project {
            MatrixGlob::Glob(_) if stamp.kind == ListedKind::File && pattern.matches(path) => {
                found.insert(path.to_owned());
            }
            MatrixGlob::Glob(_) => {}
            MatrixGlob::Dirs(_) => {
                let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
                found.extend(folders.filter(|it| pattern.matches(it)).map(str::to_owned));
            }
        }
    }
    match found.is_empty() && !pattern.optional {
        true => Err(FileFault::at(values.span(), format!("`{glob}` matches nothing"))),
        false => Ok(found.into_iter().collect()),
    }
}

/// Returns the id of a step with this combination: `name[key=value,…]`.
pub(crate) fn id(name: &str, leg: &MatrixLeg) -> String {
    if leg.is_empty() {
        return name.to_owned();
    }
    let pairs: Vec<_> = leg.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{name}[{}]", pairs.join(","))
}

/// Returns a name for a combination's folder, without separators of paths.
pub(crate) fn folder(id: &str) -> String {
    let inner = id.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or(id);
    let name = inner.replace('%', "%25").replace('/', "%2F").replace('\0', "%00");
    // `.` and `..` are names of other directories, and names have a maximum length.
    match name.as_str() {
        "." | ".." => name.replace('.', "%2E"),
        _ if name.len() > 200 => crate::digest::digest_of(name.as_bytes()).hex(),
        _ => name,
    }
}
