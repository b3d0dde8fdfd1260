//! `skep new`: a folder with an example's own files.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::ProjectError;
use crate::language::{Kind, Language};
use crate::manifest::{MANIFEST, is_name};

/// Makes a new project in `folder`, whose last part is its name. Returns the files made.
///
/// # Errors
/// `folder_exists`, `invalid_manifest` for a name that no project can have, and `io`.
pub fn scaffold(
    folder: &Path,
    language: Language,
    kind: Kind,
) -> Result<Vec<String>, ProjectError> {
    let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
    let name = name.ok_or_else(|| {
        let message = format!("`{}` cannot be the name of a worker", folder.display());
        ProjectError::new("invalid_manifest", message)
            .hint("use 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter")
    })?;
    let (files, placeholder) = language.template(kind).ok_or_else(|| {
        let message = format!("there is no template for a {} worker in {language}", kind.as_str());
        ProjectError::new("invalid_request", message).hint(
            "services have one in every language, commands in rust, and web workers in rust, js and \
             python",
        )
    })?;
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(ProjectError::file("create", parent))?;
    }
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            ProjectError::new("folder_exists", format!("{} exists already", folder.display()))
                .hint("give another name, or remove it first")
        }
        _ => ProjectError::file("create", folder)(error),
    })?;
    let mut made = Vec::new();
    for (path, content) in files {
        let content = match std::str::from_utf8(content) {
            Ok(text) if *path == MANIFEST => named(text, placeholder, name).into_bytes(),
            Ok(text) if is_renamed(path) => renamed(text, placeholder, name).into_bytes(),
            _ => content.to_vec(),
        };
        let target = folder.join(path);
        let parent = target.parent().expect("a file has a folder");
        fs::create_dir_all(parent).map_err(ProjectError::file("create", parent))?;
        fs::write(&target, content).map_err(ProjectError::file("write", &target))?;
        made.push((*path).to_owned());
    }
    Ok(made)
}

/// Replaces the name of a manifest, which may be the name of its kind too.
fn named(text: &str, from: &str, to: &str) -> String {
    text.replacen(&format!("name = \"{from}\""), &format!("name = \"{to}\""), 1)
}

/// Returns true for the other files in which the example's name stands for the project's.
fn is_renamed(path: &str) -> bool {
    matches!(path, "README.md" | "Cargo.toml" | "Cargo.lock" | "package.json" | "package-lock.json")
}

/// Replaces the example's name where it is a whole word.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        out.push_str(before);
        out.push_str(if whole { to } else { from });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Project;

    #[test]
    fn every_template_becomes_a_project_with_its_own_name() {
        for language in Language::ALL {
            for kind in [Kind::Service, Kind::Command, Kind::Web] {
                if language.template(kind).is_none() {
                    continue;
                }
                let dir = tempfile::tempdir().unwrap();
                let folder = dir.path().join("tally");
                let made = scaffold(&folder, language, kind).unwrap();
                let project = Project::open(&folder).unwrap();
                assert_eq!(project.manifest().name, "tally", "{made:?}");
                assert_eq!((project.manifest().lang, project.manifest().kind), (language, kind));
                assert!(folder.join(project.manifest().entry()).is_file(), "{language}");
                assert!(made.iter().any(|file| file == ".gitignore"), "{language}");
            }
        }
    }

    #[test]
    fn an_existing_folder_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tally");
        fs::create_dir(&folder).unwrap();
        let error = scaffold(&folder, Language::Js, Kind::Service).unwrap_err();
        assert_eq!(error.code, "folder_exists");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_no_worker_can_be_named_after_is_refused() {
        for name in ["Tally", "1st", "a b", ".."] {
            let dir = tempfile::tempdir().unwrap();
            let error = scaffold(&dir.path().join(name), Language::C, Kind::Service).unwrap_err();
            assert_eq!(error.code, "invalid_manifest", "{name}");
        }
    }

    #[test]
    fn only_whole_words_are_renamed() {
        assert_eq!(
            renamed("counter counters my-counter counter.wasm", "counter", "x"),
            "x counters my-counter x.wasm"
        );
    }
}
