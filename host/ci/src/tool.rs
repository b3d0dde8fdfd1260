//! The programs of a pipeline and the trees that come with them: where they come from, and their
//! pins.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::fault::FileFault;
use crate::file::{PipelineFile, ToolPlace, ToolTable};
use crate::guest_path;

/// A program of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTool {
    /// Place of the program.
    pub program: PinnedFile,
    /// Name that it is started by.
    pub argv0: String,
    /// Trees by their path in the guest.
    pub trees: BTreeMap<String, PinnedFile>,
}

/// A file with a place and a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedFile {
    /// Source of the file or its package.
    pub origin: Origin,
    /// Path in the package.
    pub member: Option<String>,
    /// SHA-256 in hexadecimal. Only a file of the project may have none.
    pub sha256: Option<String>,
    /// Its place in the pipeline file: table, key of `files`.
    pub key: (String, Option<String>),
}

/// The source of a file or a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The project, or an absolute path.
    File(String),
    /// An address.
    Url(String),
    /// An npm package, `NAME@VERSION`.
    Npm(String),
    /// A PyPI package, `NAME==VERSION`.
    Pypi(String),
}

impl PinnedFile {
    /// Returns the origin as a person would write it.
    pub fn shown(&self) -> String {
        let origin = match &self.origin {
            Origin::File(path) => path.clone(),
            Origin::Url(url) => url.clone(),
            Origin::Npm(spec) => format!("npm {spec}"),
            Origin::Pypi(spec) => format!("pypi {spec}"),
        };
        match &self.member {
            Some(member) => format!("{origin} {member}"),
            None => origin,
        }
    }
}

/// Plans all tools of a file.
pub(crate) fn plan(file: &PipelineFile) -> Result<BTreeMap<String, PlannedTool>, Vec<FileFault>> {
    let mut tools = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, table) in &file.tool {
        match one(file, key, table) {
            Ok(tool) => drop(tools.insert(key.get_ref().clone(), tool)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(tools) } else { Err(faults) }
}

fn one(
    file: &PipelineFile,
    key: &Spanned<String>,
    table: &ToolTable,
) -> Result<PlannedTool, FileFault> {
    let name = key.get_ref();
    let mut base = None;
    if let Some(like) = &table.like {
        let found = file.tool.iter().find(|(key, _)| key.get_ref() == like.get_ref());
        let Some((key, other)) = found else {
            let known = file.tool.keys().map(|key| key.get_ref().as_str());
            let message = format!("there is no tool `{}`", like.get_ref());
            return Err(FileFault::at(like.span(), message).nearest(like.get_ref(), known));
        };
        if other.like.is_some() {
            let message = "a tool cannot be like one that is itself like another";
            return Err(FileFault::at(like.span(), message));
        }
        base = Some(one(file, key, other)?);
    }
    let place = table.place();
    let program = match (place == ToolPlace::default(), &base) {
        (true, Some(base)) => base.program.clone(),
        _ => pinned(&place, None, key, (name.clone(), None))?,
    };
    let mut trees = base.as_ref().map_or_else(BTreeMap::new, |base| base.trees.clone());
    for (path, place) in &table.files {
        let guest =
            guest_path::parse(path.get_ref()).map_err(|why| FileFault::at(path.span(), why))?;
        if guest == "/" || guest_path::own(&guest).is_some() {
            let message = "a tool's files are in a directory of their own, not in /, /out or /tmp";
            return Err(FileFault::at(path.span(), message));
        }
        let at = (name.clone(), Some(path.get_ref().clone()));
        trees.insert(guest, pinned(place, Some(&program), path, at)?);
    }
    let own_name = || {
        let path = program.member.as_deref().unwrap_or(match &program.origin {
            Origin::File(path) | Origin::Url(path) => path,
            Origin::Npm(_) | Origin::Pypi(_) => name,
        });
        path.rsplit('/').next().unwrap_or(path).to_owned()
    };
    let inherited = base.as_ref().map(|base| base.argv0.clone());
    let argv0 = table.argv0.clone().or(inherited).unwrap_or_else(own_name);
    Ok(PlannedTool { program, argv0, trees })
}

/// Returns the place of a file. One that names no origin of its own is in the package of `near`.
fn pinned(
    place: &ToolPlace,
    near: Option<&PinnedFile>,
    key: &Spanned<String>,
    at: (String, Option<String>),
) -> Result<PinnedFile, FileFault> {
    let given = [&place.file, &place.url, &place.npm, &place.pypi];
    let given: Vec<_> = given.into_iter().flatten().collect();
    if let Some(second) = given.get(1) {
        return Err(FileFault::at(second.span(), "use one of `file`, `url`, `npm` and `pypi`"));
    }
    let text = |text: &Spanned<String>| text.get_ref().clone();
    let origin = match (&place.file, &place.url, &place.npm, &place.pypi, near) {
        (Some(path), ..) => {
            let inside = guest_path::is_relative(path.get_ref().trim_start_matches("./"));
            if !inside && !path.get_ref().starts_with('/') {
                return Err(FileFault::at(
                    path.span(),
                    "`file` is a path in the project, or absolute",
                ));
            }
            Origin::File(text(path).trim_start_matches("./").to_owned())
        }
        (_, Some(url), ..) if !url.get_ref().starts_with("https://") => {
            return Err(FileFault::at(url.span(), "`url` begins with https://"));
        }
        (_, Some(url), ..) => Origin::Url(text(url)),
        (_, _, Some(npm), ..) => {
            package(npm, "@", "NAME@VERSION")?;
            Origin::Npm(text(npm))
        }
        (_, _, _, Some(pypi), _) => {
            package(pypi, "==", "NAME==VERSION")?;
            Origin::Pypi(text(pypi))
        }
        (.., Some(near)) if place.member.is_some() => near.origin.clone(),
        _ => {
            let message = "there is no origin: set `file`, `url`, `npm` or `pypi`";
            return Err(FileFault::at(key.span(), message));
        }
    };
    if matches!(origin, Origin::Npm(_) | Origin::Pypi(_))
        && place.member.is_none()
        && at.1.is_none()
    {
        return Err(FileFault::at(key.span(), "set `member`, the program's path in the package"));
    }
    let sha256 = match &place.sha256 {
        Some(hex) if crate::digest::from_hex(hex.get_ref()).is_none() => {
            return Err(FileFault::at(hex.span(), "sha256 is 64 lower-case hexadecimal digits"));
        }
        Some(hex) => Some(text(hex)),
        None => None,
    };
    Ok(PinnedFile { origin, member: place.member.as_ref().map(text), sha256, key: at })
}

/// Checks that a package has an exact version.
fn package(spec: &Spanned<String>, between: &str, form: &str) -> Result<(), FileFault> {
    let exact = spec.get_ref().rsplit_once(between).is_some_and(|(name, version)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "@/._-+".contains(c);
        let named = !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
        named && version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(plain)
    });
    match exact {
        true => Ok(()),
        false => Err(FileFault::at(spec.span(), format!("write {form}, with an exact version"))),
    }
}
