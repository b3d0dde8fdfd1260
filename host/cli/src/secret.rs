//! Secrets of the operator: which hosts may be told, and where the value is. It is read when a host
//! starts, and it is in no message and no `Debug` of this file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use skep_protocol::{HttpGrant, SecretName};
use skep_sandbox::{OperatorSecret, SecretError};

use crate::failure::Failed;
use crate::settings::{SecretSetting, SecretSettings};
use crate::terminal;

/// Bytes of a file that are looked at: more than any secret has.
const LOOKED_AT: u64 = 16 << 10;

/// Rights of a file that let others than its owner read it.
const OTHERS_READ: u32 = 0o044;

/// Where a secret's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// Of this process's environment. No guest and no child has that.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Why there is no secret in its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("is not a regular file")]
    NoFile,
    #[error("is not set")]
    Unset,
    #[error("is empty")]
    Empty,
    #[error("has more than one line")]
    Lines,
    #[error("does not hold a secret: {0}")]
    Value(SecretError),
}

impl Unusable {
    /// What to do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::NoFile => {
                "a `file` is seen from where the settings lie; make it, readable for this user only"
            }
            Self::Unset => "set it where `skep` is started, or name a `file` instead",
            Self::Empty | Self::Lines | Self::Value(_) => {
                "put nothing but the secret there; of a file, one newline at its end is left out"
            }
        }
    }
}

/// A secret as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    secret: OperatorSecret,
    /// Others than the owner may read its file.
    pub(crate) open: bool,
}

/// What `[secrets]` of the settings says. An error repeats nothing that may be a secret in the wrong
/// place: no value but that of `hosts`.
pub(crate) fn parse(written: toml::Value) -> Result<BTreeMap<SecretName, SecretSetting>, String> {
    let toml::Value::Table(sections) = written else {
        return Err("secrets are sections, one [secrets.NAME] each".into());
    };
    let section = |(name, written): (String, toml::Value)| {
        let name: SecretName = name.parse().map_err(|error| format!("[secrets]: {error}"))?;
        let setting = one(written).map_err(|error| format!("[secrets.{name}]: {error}"))?;
        Ok((name, setting))
    };
    sections.into_iter().map(section).collect()
}

fn one(written: toml::Value) -> Result<SecretSetting, String> {
    const FORM: &str = "a secret has `hosts` and either `file` or `env`; \
                        what it is does not belong in the settings";
    let toml::Value::Table(mut section) = written else { return Err(FORM.into()) };
    let mut text = |key: &str| match section.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` is a text")),
    };
    let place = match (text("file")?, text("env")?) {
        (Some(path), None) => Place::File(path.into()),
        (None, Some(name)) if !name.contains(['=', '\0']) => Place::Variable(name),
        _ => return Err(FORM.into()),
    };
    let hosts = match section.remove("hosts") {
        Some(toml::Value::Array(hosts)) if !hosts.is_empty() => hosts,
        _ => {
            return Err(
                "`hosts` lists whom it may be sent to: [\"https://api.example.com\"]".into()
            );
        }
    };
    if !section.is_empty() {
        return Err(FORM.into());
    }
    let host = |host: toml::Value| match host {
        toml::Value::String(text) => {
            text.parse::<HttpGrant>().map_err(|error| format!("`hosts`: {text:?}: {error}"))
        }
        _ => Err("`hosts` are texts".to_owned()),
    };
    Ok(SecretSetting { hosts: hosts.into_iter().map(host).collect::<Result<_, _>>()?, place })
}

/// Looks for a secret where it should be.
pub(crate) fn find(setting: &SecretSetting) -> Result<Found, Unusable> {
    let (value, open) = value(&setting.place)?;
    if value.is_empty() {
        return Err(Unusable::Empty);
    }
    if value.contains(&b'\n') {
        return Err(Unusable::Lines);
    }
    // What is no text is no secret either: neither has such characters.
    let value = String::from_utf8_lossy(&value);
    let secret = OperatorSecret::new(&value, setting.hosts.clone()).map_err(Unusable::Value)?;
    Ok(Found { secret, open })
}

/// What is in a place, and whether others may read it.
fn value(place: &Place) -> Result<(Vec<u8>, bool), Unusable> {
    match place {
        Place::File(path) => content(path),
        Place::Variable(name) => {
            Ok((std::env::var_os(name).ok_or(Unusable::Unset)?.into_vec(), false))
        }
    }
}

/// What a file holds without the newline at its end, and whether others may read it.
fn content(path: &Path) -> Result<(Vec<u8>, bool), Unusable> {
    // Asked first: opening a pipe would wait for somebody to write.
    if !std::fs::metadata(path).map_err(Unusable::Unreadable)?.is_file() {
        return Err(Unusable::NoFile);
    }
    let file = std::fs::File::open(path).map_err(Unusable::Unreadable)?;
    let mode = file.metadata().map_err(Unusable::Unreadable)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes).map_err(Unusable::Unreadable)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok((line.to_vec(), mode & OTHERS_READ != 0))
}

/// All of them, for a host that starts. One that cannot be had is an error now, and not a request
/// without its credentials later. A file that others may read is used all the same: containers are
/// given theirs so.
pub(crate) fn all(
    settings: &SecretSettings,
) -> Result<BTreeMap<SecretName, OperatorSecret>, Failed> {
    let find = |(name, setting): (&SecretName, &SecretSetting)| {
        let found = find(setting).map_err(|error| {
            Failed::here(format!("the secret {name}: {} {error}", setting.place)).hint(error.hint())
        })?;
        if found.open {
            let place = &setting.place;
            let said = format!("the secret {name}: {place} can be read by others than its owner");
            terminal::say("warning", &format!("{said}; chmod 600 keeps it to him"));
        }
        Ok((name.clone(), found.secret))
    };
    settings.0.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands wherever a person may put a secret by mistake.
    const VALUE: &str = "MARKER-hunter2";

    fn setting(place: Place) -> SecretSetting {
        SecretSetting { hosts: vec!["https://a.b".parse().unwrap()], place }
    }

    fn write(dir: &Path, content: &[u8], mode: u32) -> SecretSetting {
        let path = dir.join("key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        setting(Place::File(path))
    }

    #[test]
    fn a_secret_is_what_its_file_says_without_the_newline() {
        let dir = tempfile::tempdir().unwrap();
        for end in ["", "\n", "\r\n"] {
            let setting = write(dir.path(), format!("{VALUE}{end}").as_bytes(), 0o600);
            assert_eq!(value(&setting.place).unwrap(), (VALUE.into(), false), "{end:?}");
            let shown = format!("{:?}", find(&setting).unwrap());
            assert!(shown.contains("a.b") && !shown.contains("MARKER"), "{shown}");
        }
        assert!(find(&write(dir.path(), VALUE.as_bytes(), 0o640)).unwrap().open);
        assert!(find(&write(dir.path(), VALUE.as_bytes(), 0o604)).unwrap().open);
    }

    #[test]
    fn what_is_no_secret_is_said_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{VALUE}{}", "x".repeat(20_000));
        for (content, said) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("MARKER-1\nMARKER-2\n", "has more than one line"),
            ("MARKER-hunter2\n\n", "has more than one line"),
            ("MARKER hunter2", "without spaces"),
            ("MARKER\u{1b}hunter2", "printable"),
            ("MARKER-späße", "printable"),
            ("MARKER", "8 to 8192"),
            (&long, "8 to 8192"),
        ] {
            let settings = [("key".parse().unwrap(), write(dir.path(), content.as_bytes(), 0o600))];
            let failed = all(&SecretSettings(settings.into())).unwrap_err();
            let shown = format!("{failed:?}");
            assert!(shown.contains(said) && shown.contains("the secret key: the file"), "{shown}");
            assert!(!shown.contains("MARKER"), "{shown}");
        }
        let binary = find(&write(dir.path(), b"MARKER-\xff\xfe-hunter2", 0o600)).unwrap_err();
        assert!(matches!(binary, Unusable::Value(_)));
        let missing = find(&setting(Place::File(dir.path().join("missing")))).unwrap_err();
        assert!(matches!(missing, Unusable::Unreadable(_)));
        let folder = find(&setting(Place::File(dir.path().to_owned()))).unwrap_err();
        assert!(matches!(folder, Unusable::NoFile));
    }

    #[test]
    fn a_variable_is_as_good_as_a_file() {
        // There in every test, and not to be set from within one.
        let (value, open) = value(&Place::Variable("CARGO_MANIFEST_DIR".into())).unwrap();
        assert_eq!((value, open), (env!("CARGO_MANIFEST_DIR").into(), false));
        let unset = find(&setting(Place::Variable("SKEP_NOT_SET".into()))).unwrap_err();
        assert!(matches!(unset, Unusable::Unset));
    }

    #[test]
    fn sections_say_whom_and_where_and_nothing_else() {
        let parse = |text: &str| {
            let written: toml::Table = toml::from_str(text).unwrap();
            parse(toml::Value::Table(written))
        };
        let good = parse("[a]\nenv = 'A'\nhosts = ['GET https://*.a.b', 'http://c:81']").unwrap();
        let a = &good[&"a".parse().unwrap()];
        assert_eq!((a.hosts.len(), &a.place), (2, &Place::Variable("A".into())));
        for (bad, said) in [
            ("a = 'MARKER'", "[secrets.a]: a secret has"),
            ("A = 'MARKER'", "a secret's name is"),
            ("[a]\nvalue = 'MARKER'\nhosts = ['https://a.b']", "does not belong in the settings"),
            ("[a]\nenv = 'A'\nvalue = 'MARKER'\nhosts = ['https://a.b']", "does not belong"),
            ("[a]\nfile = 'f'\nenv = 'A'\nhosts = ['https://a.b']", "either `file` or `env`"),
            ("[a]\nenv = 'MARKER=x'\nhosts = ['https://a.b']", "a secret has"),
            ("[a]\nfile = ['MARKER']\nhosts = ['https://a.b']", "`file` is a text"),
            ("[a]\nfile = ''\nhosts = ['https://a.b']", "`file` is a text"),
            ("[a]\nfile = 'f'", "`hosts` lists whom"),
            ("[a]\nfile = 'f'\nhosts = []", "`hosts` lists whom"),
            ("[a]\nfile = 'f'\nhosts = 'https://a.b'", "`hosts` lists whom"),
            ("[a]\nfile = 'f'\nhosts = ['a.b']", "`hosts`: \"a.b\": a grant is"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(said) && !error.contains("MARKER"), "{bad}: {error}");
        }
    }
}
