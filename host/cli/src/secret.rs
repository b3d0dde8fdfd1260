//! The operator's secrets: the hosts each may be sent to, and the source of its value.
//!
//! A value is read when a host starts. It appears in no message and in no `Debug` output of this
//! file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use skep_protocol::{HttpGrant, SecretName};
use skep_sandbox::{OperatorSecret, SecretError};

use crate::failure::Failed;
use crate::terminal;

/// Maximum number of bytes to read of a file. Every valid secret is shorter.
const MAX_READ: u64 = 16 << 10;

/// Permission bits that let users other than the owner read a file.
const OTHERS_READ: u32 = 0o044;

/// The `[secrets]` section: the secrets that workers may be granted.
///
/// Parsed by hand. A person may put a secret into the settings by mistake, and the messages of the
/// TOML library quote the offending text.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretSettings(pub(crate) BTreeMap<SecretName, SecretSetting>);

/// One secret of the settings.
#[derive(Clone, Debug)]
pub(crate) struct SecretSetting {
    /// The hosts that the secret may be sent to.
    pub(crate) hosts: Vec<HttpGrant>,
    pub(crate) source: SecretSource,
}

/// The source of a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    File(PathBuf),
    /// A variable of this process's environment, which no guest and no child process inherits.
    Variable(String),
}

impl SecretSetting {
    /// Returns the path of the file, if the value is in one.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match &mut self.source {
            SecretSource::File(path) => Some(path),
            SecretSource::Variable(_) => None,
        }
    }
}

impl SecretSettings {
    /// Parses the section. An error repeats no value other than one of `hosts`, because any other
    /// text may be a secret in the wrong place.
    pub(crate) fn parse(section: toml::Value) -> Result<Self, String> {
        let toml::Value::Table(secrets) = section else {
            return Err("each secret needs a section of its own, [secrets.NAME]".into());
        };
        let parse = |(name, section): (String, toml::Value)| {
            let name: SecretName = name.parse().map_err(|error| format!("[secrets]: {error}"))?;
            let setting =
                parse_one(section).map_err(|error| format!("[secrets.{name}]: {error}"))?;
            Ok((name, setting))
        };
        secrets.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// The reason that a secret's value cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretProblem {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("is not a regular file")]
    NotAFile,
    #[error("is not set")]
    Unset,
    #[error("is empty")]
    Empty,
    #[error("has more than one line")]
    MultipleLines,
    #[error("does not contain a valid secret: {0}")]
    Invalid(SecretError),
}

impl SecretProblem {
    /// Returns the next step for the operator.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::NotAFile => {
                "create the file, readable by this user only; a relative path starts at the \
                 directory of the settings"
            }
            Self::Unset => "set the variable for the `skep` process, or use `file` instead",
            Self::Empty | Self::MultipleLines | Self::Invalid(_) => {
                "store only the secret there; one newline at the end of a file is ignored"
            }
        }
    }
}

/// A secret whose value was read.
#[derive(Debug)]
pub(crate) struct LoadedSecret {
    secret: OperatorSecret,
    /// True if users other than the owner may read its file.
    pub(crate) exposed: bool,
}

fn parse_one(section: toml::Value) -> Result<SecretSetting, String> {
    const FORM: &str = "a secret has `hosts` and either `file` or `env`; \
                        its value does not belong in the settings";
    let toml::Value::Table(mut section) = section else { return Err(FORM.into()) };
    let mut text = |key: &str| match section.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` must be a non-empty string")),
    };
    let source = match (text("file")?, text("env")?) {
        (Some(path), None) => SecretSource::File(path.into()),
        (None, Some(name)) if !name.contains(['=', '\0']) => SecretSource::Variable(name),
        _ => return Err(FORM.into()),
    };
    let hosts = match section.remove("hosts") {
        Some(toml::Value::Array(hosts)) if !hosts.is_empty() => hosts,
        _ => {
            return Err("`hosts` must list the hosts that the secret may be sent to, as in \
                        [\"https://api.example.com\"]"
                .into());
        }
    };
    if !section.is_empty() {
        return Err(FORM.into());
    }
    let host = |host: toml::Value| match host {
        toml::Value::String(text) => {
            text.parse::<HttpGrant>().map_err(|error| format!("`hosts`: {text:?}: {error}"))
        }
        _ => Err("`hosts` must contain strings only".to_owned()),
    };
    Ok(SecretSetting { hosts: hosts.into_iter().map(host).collect::<Result<_, _>>()?, source })
}

/// Reads the value of one secret.
pub(crate) fn read(setting: &SecretSetting) -> Result<LoadedSecret, SecretProblem> {
    let (value, exposed) = value(&setting.source)?;
    if value.is_empty() {
        return Err(SecretProblem::Empty);
    }
    if value.contains(&b'\n') {
        return Err(SecretProblem::MultipleLines);
    }
    // The replacement character that stands for invalid UTF-8 is not valid in a secret.
    let value = String::from_utf8_lossy(&value);
    let secret =
        OperatorSecret::new(&value, setting.hosts.clone()).map_err(SecretProblem::Invalid)?;
    Ok(LoadedSecret { secret, exposed })
}

/// Returns the value, and true if other users may read it.
fn value(source: &SecretSource) -> Result<(Vec<u8>, bool), SecretProblem> {
    match source {
        SecretSource::File(path) => file_content(path),
        SecretSource::Variable(name) => {
            Ok((std::env::var_os(name).ok_or(SecretProblem::Unset)?.into_vec(), false))
        }
    }
}

/// Returns the content of a file without the newline at its end, and true if other users may read
/// it.
fn file_content(path: &Path) -> Result<(Vec<u8>, bool), SecretProblem> {
    // Checked before opening, because opening a FIFO would wait for a writer.
    if !std::fs::metadata(path).map_err(SecretProblem::Unreadable)?.is_file() {
        return Err(SecretProblem::NotAFile);
    }
    let file = std::fs::File::open(path).map_err(SecretProblem::Unreadable)?;
    let mode = file.metadata().map_err(SecretProblem::Unreadable)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(MAX_READ).read_to_end(&mut bytes).map_err(SecretProblem::Unreadable)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok((line.to_vec(), mode & OTHERS_READ != 0))
}

/// Reads all secrets for a host that starts. An unusable one fails the start, rather than a request
/// that lacks its credentials later. A file that other users may read is only a warning, because
/// containers often get their secrets that way.
pub(crate) fn read_all(
    settings: &SecretSettings,
) -> Result<BTreeMap<SecretName, OperatorSecret>, Failed> {
    let read = |(name, setting): (&SecretName, &SecretSetting)| {
        let source = &setting.source;
        let loaded = read(setting).map_err(|error| {
            Failed::here(format!("the secret {name}: {source} {error}")).hint(error.hint())
        })?;
        if loaded.exposed {
            let message = format!(
                "the secret {name}: {source} is readable by other users; run `chmod 600` to \
                 restrict it to its owner"
            );
            terminal::say("warning", &message);
        }
        Ok((name.clone(), loaded.secret))
    };
    settings.0.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret, also in all the places where a person may put it by mistake.
    const VALUE: &str = "MARKER-hunter2";

    fn setting(source: SecretSource) -> SecretSetting {
        SecretSetting { hosts: vec!["https://a.b".parse().unwrap()], source }
    }

    fn write(dir: &Path, content: &[u8], mode: u32) -> SecretSetting {
        let path = dir.join("key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        setting(SecretSource::File(path))
    }

    #[test]
    fn the_newline_at_the_end_of_a_secret_file_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        for end in ["", "\n", "\r\n"] {
            let setting = write(dir.path(), format!("{VALUE}{end}").as_bytes(), 0o600);
            assert_eq!(value(&setting.source).unwrap(), (VALUE.into(), false), "{end:?}");
            let shown = format!("{:?}", read(&setting).unwrap());
            assert!(shown.contains("a.b") && !shown.contains("MARKER"), "{shown}");
        }
        assert!(read(&write(dir.path(), VALUE.as_bytes(), 0o640)).unwrap().exposed);
        assert!(read(&write(dir.path(), VALUE.as_bytes(), 0o604)).unwrap().exposed);
    }

    #[test]
    fn an_invalid_secret_is_reported_without_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{VALUE}{}", "x".repeat(20_000));
        for (content, message) in [
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
            let failed = read_all(&SecretSettings(settings.into())).unwrap_err();
            let shown = format!("{failed:?}");
            assert!(
                shown.contains(message) && shown.contains("the secret key: the file"),
                "{shown}"
            );
            assert!(!shown.contains("MARKER"), "{shown}");
        }
        let binary = read(&write(dir.path(), b"MARKER-\xff\xfe-hunter2", 0o600)).unwrap_err();
        assert!(matches!(binary, SecretProblem::Invalid(_)));
        let missing = read(&setting(SecretSource::File(dir.path().join("missing")))).unwrap_err();
        assert!(matches!(missing, SecretProblem::Unreadable(_)));
        let folder = read(&setting(SecretSource::File(dir.path().to_owned()))).unwrap_err();
        assert!(matches!(folder, SecretProblem::NotAFile));
    }

    #[test]
    fn a_secret_is_read_from_an_environment_variable() {
        // Cargo sets this variable for every test; a test cannot safely set one itself.
        let source = SecretSource::Variable("CARGO_MANIFEST_DIR".into());
        let (value, exposed) = value(&source).unwrap();
        assert_eq!((value, exposed), (env!("CARGO_MANIFEST_DIR").into(), false));
        let unset = read(&setting(SecretSource::Variable("SKEP_NOT_SET".into()))).unwrap_err();
        assert!(matches!(unset, SecretProblem::Unset));
    }

    #[test]
    fn sections_have_hosts_and_a_source_and_nothing_else() {
        let parse = |text: &str| {
            let section: toml::Table = toml::from_str(text).unwrap();
            SecretSettings::parse(toml::Value::Table(section)).map(|settings| settings.0)
        };
        let good = parse("[a]\nenv = 'A'\nhosts = ['GET https://*.a.b', 'http://c:81']").unwrap();
        let a = &good[&"a".parse().unwrap()];
        assert_eq!((a.hosts.len(), &a.source), (2, &SecretSource::Variable("A".into())));
        for (bad, message) in [
            ("a = 'MARKER'", "[secrets.a]: a secret has"),
            ("A = 'MARKER'", "a secret's name is"),
            ("[a]\nvalue = 'MARKER'\nhosts = ['https://a.b']", "does not belong in the settings"),
            ("[a]\nenv = 'A'\nvalue = 'MARKER'\nhosts = ['https://a.b']", "does not belong"),
            ("[a]\nfile = 'f'\nenv = 'A'\nhosts = ['https://a.b']", "either `file` or `env`"),
            ("[a]\nenv = 'MARKER=x'\nhosts = ['https://a.b']", "a secret has"),
            ("[a]\nfile = ['MARKER']\nhosts = ['https://a.b']", "`file` must be a"),
            ("[a]\nfile = ''\nhosts = ['https://a.b']", "`file` must be a"),
            ("[a]\nfile = 'f'", "`hosts` must list"),
            ("[a]\nfile = 'f'\nhosts = []", "`hosts` must list"),
            ("[a]\nfile = 'f'\nhosts = 'https://a.b'", "`hosts` must list"),
            ("[a]\nfile = 'f'\nhosts = ['a.b']", "`hosts`: \"a.b\": a grant is"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(message) && !error.contains("MARKER"), "{bad}: {error}");
        }
    }
}
