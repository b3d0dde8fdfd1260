//! What the operator has set: `skep.toml`, then the environment, then flags.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use skep_protocol::{
    GrantError, HttpGrant, LimitName, Limits, Rights, RuntimeId, ScopeName, SecretName,
};
use skep_runtime::Options;
use skep_sandbox::Isolation;

use crate::ambient;
use crate::secret::{self, Place};

/// Where a host listens if nothing says otherwise.
const LISTEN: &str = "127.0.0.1:7070";

/// The workspace if nothing says otherwise.
const WORKSPACE: &str = "default";

/// Where things are, for each command that works with a store.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaceArgs {
    /// The store's directory [env: SKEP_STORE] [default: the user data directory, per workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    /// Which of your workspaces; each has a store of its own [env: SKEP_WORKSPACE] [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) workspace: Option<RuntimeId>,

    /// The settings [env: SKEP_CONFIG] [default: ./skep.toml, or skep/skep.toml among the user's]
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
}

/// `skep.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    store: Option<PathBuf>,
    workspace: Option<RuntimeId>,
    listen: Option<String>,
    allowed_hosts: Vec<String>,
    runtime: RuntimeSetting,
    scopes: BTreeMap<ScopeName, ScopeSetting>,
    secrets: SecretSettings,
    operator: Option<OperatorSetting>,
    remote: Vec<RemoteSetting>,
}

/// Numbers of the embedded runtime. What is not here is as [`Options`] has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuntimeSetting {
    /// Live instances at once.
    instances: Option<usize>,
    /// Memory of all of them, in bytes; without it three quarters of what this process may have.
    memory_bytes: Option<u64>,
    /// How long an instance is kept without an input.
    idle_ms: Option<u64>,
    /// How long a running turn may go on after its worker was stopped.
    stop_grace_ms: Option<u64>,
    /// CPU time that compiling a component may take; on the clock it is five times that.
    compile_timeout_ms: Option<u64>,
    /// Which runs of commands are in a process of their own: `thread`, `process` or `auto`.
    isolation: Option<String>,
}

impl RuntimeSetting {
    /// All numbers.
    pub(crate) fn options(&self) -> Options {
        let usual = Options::default();
        Options {
            instances: self.instances.unwrap_or(usual.instances),
            memory_bytes: self.memory_bytes.unwrap_or_else(|| ambient::memory_bytes() / 4 * 3),
            idle: self.idle_ms.map_or(usual.idle, Duration::from_millis),
            stop_grace: self.stop_grace_ms.map_or(usual.stop_grace, Duration::from_millis),
            ..usual
        }
    }

    /// Sets the limits that are a host's.
    pub(crate) fn set_limits(&self, limits: &mut Limits) {
        if let Some(millis) = self.compile_timeout_ms {
            limits.set_compile_timeout(millis);
        }
    }

    /// Which runs are in a process of their own.
    pub(crate) fn isolation(&self) -> Result<Isolation, String> {
        match &self.isolation {
            None => Ok(Isolation::default()),
            Some(word) => Isolation::parse(word).ok_or_else(|| {
                format!("[runtime] isolation is `thread`, `process` or `auto`, not `{word}`")
            }),
        }
    }

    /// Instances that the sandbox has to have room for: the last of those that go overlap with the
    /// first of those that come.
    pub(crate) fn room(&self) -> u32 {
        let instances = self.options().instances;
        u32::try_from(instances + instances / 16).unwrap_or(u32::MAX)
    }
}

/// A directory that workers may be granted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeSetting {
    pub(crate) path: PathBuf,
    #[serde(default = "read_only")]
    pub(crate) rights: Rights,
}

const fn read_only() -> Rights {
    Rights::ReadOnly
}

/// Secrets that workers may be granted. Read by hand: what a person writes here by mistake may be a
/// secret, and the library's messages repeat what they do not understand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct SecretSettings(pub(crate) BTreeMap<SecretName, SecretSetting>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct SecretSetting {
    /// Whom it may be sent to.
    pub(crate) hosts: Vec<HttpGrant>,
    pub(crate) place: Place,
}

impl SecretSetting {
    fn file(&mut self) -> Option<&mut PathBuf> {
        match &mut self.place {
            Place::File(path) => Some(path),
            Place::Variable(_) => None,
        }
    }
}

impl TryFrom<toml::Value> for SecretSettings {
    type Error = String;

    fn try_from(written: toml::Value) -> Result<Self, String> {
        secret::parse(written).map(Self)
    }
}

/// What the role `operator` is held to. Without this section it may grant each scope, set each limit,
/// and grant nothing else.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OperatorSetting {
    /// The scopes that it may grant.
    pub(crate) scopes: BTreeSet<ScopeName>,
    /// Where it may let workers send requests, as `skep worker grant --http` takes it.
    pub(crate) http: Vec<HttpText>,
    /// The secrets that it may grant.
    pub(crate) secrets: BTreeSet<SecretName>,
    /// The most that it may set limits to; others stay at their defaults.
    pub(crate) limits: BTreeMap<LimitName, u64>,
}

/// A grant as people write it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HttpText(pub(crate) HttpGrant);

impl TryFrom<String> for HttpText {
    type Error = GrantError;

    fn try_from(text: String) -> Result<Self, GrantError> {
        text.parse().map(Self)
    }
}

/// A runtime elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteSetting {
    pub(crate) runtime_id: RuntimeId,
    pub(crate) url: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) insecure: bool,
    pub(crate) display_name: Option<String>,
}

/// All of it, decided.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: PathBuf,
    pub(crate) workspace: RuntimeId,
    pub(crate) listen: String,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) runtime: RuntimeSetting,
    pub(crate) scopes: BTreeMap<ScopeName, ScopeSetting>,
    pub(crate) secrets: SecretSettings,
    pub(crate) operator: Option<OperatorSetting>,
    pub(crate) remotes: Vec<RemoteSetting>,
}

impl Settings {
    /// Reads the file and the environment, and puts the flags over them.
    pub(crate) fn gather(place: &PlaceArgs, listen: Option<&str>) -> Result<Self, String> {
        let file = read(place.settings.as_deref())?;
        let workspace = match (&place.workspace, variable("SKEP_WORKSPACE")) {
            (Some(workspace), _) => workspace.clone(),
            (None, Some(workspace)) => {
                workspace.parse().map_err(|error| format!("SKEP_WORKSPACE: {error}"))?
            }
            (None, None) => match file.workspace {
                Some(workspace) => workspace,
                None => WORKSPACE.parse().map_err(|error| format!("{error}"))?,
            },
        };
        let store = match (&place.store, std::env::var_os("SKEP_STORE")) {
            (Some(store), _) => store.clone(),
            (None, Some(store)) if !store.is_empty() => store.into(),
            _ => match file.store {
                Some(store) => store,
                None => data()?.join("skep").join(workspace.as_str()).join("runtime"),
            },
        };
        let listen = match (listen, variable("SKEP_LISTEN")) {
            (Some(listen), _) => listen.to_owned(),
            (None, Some(listen)) => listen,
            (None, None) => file.listen.unwrap_or_else(|| LISTEN.to_owned()),
        };
        Ok(Self {
            store,
            workspace,
            listen,
            allowed_hosts: file.allowed_hosts,
            runtime: file.runtime,
            scopes: file.scopes,
            secrets: file.secrets,
            operator: file.operator,
            remotes: file.remote,
        })
    }
}

fn read(named: Option<&Path>) -> Result<File, String> {
    let named = named.map(Path::to_path_buf).or_else(|| variable("SKEP_CONFIG").map(Into::into));
    let candidates = match &named {
        Some(path) => vec![path.clone()],
        None => std::iter::once(PathBuf::from("skep.toml"))
            .chain(home("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("skep/skep.toml")))
            .collect(),
    };
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mut file =
                    File::parse(&text).map_err(|error| format!("{}{error}", path.display()))?;
                // Paths in it are seen from where it lies.
                let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
                file.rebase(&base);
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {}
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        }
    }
    Ok(File::default())
}

impl File {
    /// An error is said with its line. The library would show the line itself, and a secret may
    /// stand there by mistake.
    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| format!(", line {}", before.matches('\n').count() + 1));
            format!("{}: {}", line.unwrap_or_default(), error.message())
        })
    }

    fn rebase(&mut self, base: &Path) {
        let paths =
            self.store
                .iter_mut()
                .chain(self.scopes.values_mut().map(|scope| &mut scope.path))
                .chain(self.secrets.0.values_mut().filter_map(SecretSetting::file))
                .chain(self.remote.iter_mut().flat_map(|remote| {
                    remote.token_file.iter_mut().chain(remote.ca_file.iter_mut())
                }));
        for path in paths {
            *path = base.join(&*path);
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn home(variable: &str, otherwise: &str) -> Option<PathBuf> {
    match (std::env::var_os(variable), std::env::var_os("HOME")) {
        (Some(dir), _) if Path::new(&dir).is_absolute() => Some(dir.into()),
        (_, Some(home)) if !home.is_empty() => Some(PathBuf::from(home).join(otherwise)),
        _ => None,
    }
}

/// The user data directory.
fn data() -> Result<PathBuf, String> {
    home("XDG_DATA_HOME", ".local/share")
        .ok_or_else(|| "neither XDG_DATA_HOME nor HOME is set: give --store DIR".into())
}

#[cfg(test)]
mod tests {
    use skep_protocol::Scheme;

    use super::*;

    #[test]
    fn the_settings_of_the_readme_are_read() {
        let readme = include_str!("../../../README.md");
        let (_, rest) = readme.split_once("```toml\n").unwrap();
        let (settings, _) = rest.split_once("```").unwrap();
        let mut file: File = toml::from_str(settings).unwrap();
        file.rebase(Path::new("/etc/skep"));
        assert_eq!(file.store.as_deref(), Some(Path::new("/srv/skep")));
        assert_eq!(file.scopes[&"cache".parse().unwrap()].rights, Rights::ReadWrite);
        assert_eq!(file.remote[0].token_file.as_deref(), Some(Path::new("/etc/skep/attic.token")));
        assert_eq!(file.runtime.options().stop_grace, Duration::from_secs(5));
        assert_eq!(file.runtime.isolation(), Ok(Isolation::Auto));
        let mut limits = Limits::default();
        file.runtime.set_limits(&mut limits);
        assert_eq!(limits.compile_cpu_ms, 600_000);
        let weather = &file.secrets.0[&"weather".parse().unwrap()];
        assert_eq!(weather.place, Place::File("/etc/skep/weather.key".into()));
        let request = ("GET", Scheme::Https, "api.weather.example", 443);
        assert!(weather.hosts[0].covers(request.0, request.1, request.2, request.3));
        let operator = file.operator.unwrap();
        assert_eq!(operator.limits[&LimitName::memory_bytes], 1 << 30);
        assert!(weather.hosts[0].is_within(&operator.http[0].0) && operator.secrets.len() == 1);
        assert!(File::parse("stor = 'x'").is_err(), "a typo is not overlooked");
    }

    #[test]
    fn a_secret_that_stands_in_the_settings_is_not_repeated() {
        for (line, wrong) in [
            (2, "[secrets.key]\nfile = MARKER"),
            (1, "[secrets.key]\nvalue = 'MARKER'"),
            (1, "secrets = 'MARKER'"),
            (1, "secrets.key = 'MARKER'"),
            (2, "[secrets.key]\nfile = 'MARKER"),
            (3, "[secrets.key]\nfile = 'x'\nfile = 'MARKER'"),
            (1, "[secret.key]\nvalue = 'MARKER'"),
        ] {
            let error = File::parse(wrong).unwrap_err();
            assert!(error.starts_with(&format!(", line {line}: ")), "{wrong}: {error}");
            assert!(!error.contains("MARKER"), "{wrong}: {error}");
        }
    }
}
