//! The operator's settings: `skep.toml`, overridden by the environment, overridden by flags.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use skep_ci::Keep;
use skep_protocol::{
    GrantError, HttpGrant, LimitName, Limits, Rights, RuntimeId, ScopeName, SecretName,
};
use skep_runtime::Options;
use skep_sandbox::{Isolation, Wasi03};

use crate::ambient;
use crate::secret::{SecretSetting, SecretSettings};
use crate::site_setting::SiteSetting;

/// The default address of a host.
const LISTEN: &str = "127.0.0.1:7070";

/// The default workspace.
const WORKSPACE: &str = "default";

/// The location of the store and the settings.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LocationArgs {
    /// Directory of the store [env: SKEP_STORE] [default: the user data directory, per workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    /// Your workspace; each has a store of its own [env: SKEP_WORKSPACE] [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) workspace: Option<RuntimeId>,

    /// File of the settings [env: SKEP_CONFIG] [default: ./skep.toml, or skep/skep.toml in the user
    /// configuration directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
}

/// The content of `skep.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    store: Option<PathBuf>,
    workspace: Option<RuntimeId>,
    listen: Option<String>,
    allowed_hosts: Vec<String>,
    runtime: RuntimeSetting,
    scopes: BTreeMap<ScopeName, ScopeSetting>,
    #[serde(deserialize_with = "secrets")]
    secrets: SecretSettings,
    operator: Option<OperatorSetting>,
    remote: Vec<RemoteSetting>,
    steps: StepsSetting,
    http: Vec<SiteSetting>,
}

/// The `[runtime]` section. A field that is missing has the default of [`Options`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuntimeSetting {
    /// Maximum number of live instances.
    instances: Option<usize>,
    /// Memory of all instances, in bytes. The default is three quarters of this process's memory.
    memory_bytes: Option<u64>,
    /// Time that an idle instance is kept, in milliseconds.
    idle_ms: Option<u64>,
    /// Time that a running turn may continue after its worker was stopped, in milliseconds.
    stop_grace_ms: Option<u64>,
    /// CPU time that compiling a component may take, in milliseconds; its wall time may be five
    /// times that.
    compile_timeout_ms: Option<u64>,
    /// True if components may use WASI 0.3, which is experimental.
    wasi_0_3: bool,
    /// Isolation of command runs: `thread`, `process` or `auto`.
    isolation: Option<String>,
}

impl RuntimeSetting {
    /// Returns the options of the runtime.
    pub(crate) fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            instances: self.instances.unwrap_or(defaults.instances),
            memory_bytes: self.memory_bytes.unwrap_or_else(|| ambient::memory_bytes() / 4 * 3),
            idle: self.idle_ms.map_or(defaults.idle, Duration::from_millis),
            stop_grace: self.stop_grace_ms.map_or(defaults.stop_grace, Duration::from_millis),
            ..defaults
        }
    }

    /// Sets the limits that this section overrides.
    pub(crate) fn set_limits(&self, limits: &mut Limits) {
        if let Some(millis) = self.compile_timeout_ms {
            limits.set_compile_timeout(millis);
        }
    }

    /// Returns the use of WASI 0.3.
    pub(crate) fn wasi_0_3(&self) -> Wasi03 {
        self.wasi_0_3.into()
    }

    /// Turns WASI 0.3 on.
    pub(crate) fn turn_wasi_0_3_on(&mut self) {
        self.wasi_0_3 = true;
    }

    /// Returns the isolation of command runs.
    pub(crate) fn isolation(&self) -> Result<Isolation, String> {
        match &self.isolation {
            None => Ok(Isolation::default()),
            Some(word) => Isolation::parse(word).ok_or_else(|| {
                format!("[runtime] isolation must be `thread`, `process` or `auto`, not `{word}`")
            }),
        }
    }

    /// Returns the number of instances that the sandbox needs room for. It is above the maximum,
    /// because instances that are being evicted overlap with new ones.
    pub(crate) fn room(&self) -> u32 {
        let instances = self.options().instances;
        u32::try_from(instances + instances / 16).unwrap_or(u32::MAX)
    }
}

/// The `[steps]` section: steps of pipelines that this host runs for others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StepsSetting {
    /// Maximum number of steps at a time. The default is the number of cores.
    jobs: Option<usize>,
    /// Bytes of blobs and results that a start of the host keeps; twice as much may be stored until
    /// the next one. The default is 10 GiB.
    keep_bytes: Option<u64>,
    /// Days after which a start of the host removes results. The default is 14.
    keep_days: Option<u64>,
}

impl StepsSetting {
    /// Returns the maximum number of steps at a time.
    pub(crate) fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or(cores).clamp(1, 256)
    }

    /// Returns what a start of the host keeps.
    pub(crate) fn keep(&self) -> Keep {
        let days = self.keep_days.unwrap_or(14);
        let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        Keep { bytes: self.keep_bytes.unwrap_or(10 << 30), age }
    }
}

/// A directory that workers may be granted access to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeSetting {
    pub(crate) path: PathBuf,
    #[serde(default = "read_only")]
    pub(crate) rights: Rights,
}

fn secrets<'de, D: Deserializer<'de>>(section: D) -> Result<SecretSettings, D::Error> {
    SecretSettings::parse(toml::Value::deserialize(section)?).map_err(D::Error::custom)
}

const fn read_only() -> Rights {
    Rights::ReadOnly
}

/// The bounds of the role `operator`. Without this section, an operator may grant every scope and
/// set every limit, but may not grant HTTP requests or secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OperatorSetting {
    /// The scopes that an operator may grant.
    pub(crate) scopes: BTreeSet<ScopeName>,
    /// The HTTP requests that an operator may grant, in the syntax of `skep worker grant --http`.
    pub(crate) http: Vec<HttpText>,
    /// The secrets that an operator may grant.
    pub(crate) secrets: BTreeSet<SecretName>,
    /// The highest values that an operator may set. Limits that are not listed keep their defaults.
    pub(crate) limits: BTreeMap<LimitName, u64>,
}

/// An HTTP grant in its text form.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HttpText(pub(crate) HttpGrant);

impl TryFrom<String> for HttpText {
    type Error = GrantError;

    fn try_from(text: String) -> Result<Self, GrantError> {
        text.parse().map(Self)
    }
}

/// A runtime on another host.
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

/// The settings after all overrides.
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
    pub(crate) steps: StepsSetting,
    /// The addresses on which HTTP workers answer.
    pub(crate) sites: Vec<SiteSetting>,
}

impl Settings {
    /// Reads the file and the environment, and applies the flags.
    pub(crate) fn gather(location: &LocationArgs, listen: Option<&str>) -> Result<Self, String> {
        let file = read(location.settings.as_deref())?;
        let workspace = match (&location.workspace, variable("SKEP_WORKSPACE")) {
            (Some(workspace), _) => workspace.clone(),
            (None, Some(workspace)) => {
                workspace.parse().map_err(|error| format!("SKEP_WORKSPACE: {error}"))?
            }
            (None, None) => match file.workspace {
                Some(workspace) => workspace,
                None => WORKSPACE.parse().map_err(|error| format!("{error}"))?,
            },
        };
        let store = match (&location.store, std::env::var_os("SKEP_STORE")) {
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
            steps: file.steps,
            sites: file.http,
        })
    }
}

/// Reads the secrets of the operator's own settings: a named file, or that of the user. A skep.toml
/// in the current folder is not read: it may be a stranger's, and name a variable of this process.
pub(crate) fn own_secrets(named: Option<&Path>) -> Result<SecretSettings, String> {
    Ok(read_of(named, &[])?.secrets)
}

fn read(named: Option<&Path>) -> Result<SettingsFile, String> {
    read_of(named, &["skep.toml"])
}

/// Reads the named file, else the first of `near` and the user's file that there is.
fn read_of(named: Option<&Path>, near: &[&str]) -> Result<SettingsFile, String> {
    let named = named.map(Path::to_path_buf).or_else(|| variable("SKEP_CONFIG").map(Into::into));
    let candidates = match &named {
        Some(path) => vec![path.clone()],
        None => near
            .iter()
            .map(PathBuf::from)
            .chain(home("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("skep/skep.toml")))
            .collect(),
    };
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mut file = SettingsFile::parse(&text)
                    .map_err(|error| format!("{}{error}", path.display()))?;
                // Relative paths in the file start at its directory.
                let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
                file.rebase(&base);
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {}
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        }
    }
    Ok(SettingsFile::default())
}

impl SettingsFile {
    /// Parses the text of the file. An error names the line. The library would quote it, and it may
    /// contain a secret by mistake.
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
                .chain(self.secrets.0.values_mut().filter_map(SecretSetting::file_mut))
                .chain(self.remote.iter_mut().flat_map(|remote| {
                    remote.token_file.iter_mut().chain(remote.ca_file.iter_mut())
                }))
                .chain(
                    self.http
                        .iter_mut()
                        .filter_map(|site| site.tls.as_mut())
                        .flat_map(|tls| [&mut tls.cert, &mut tls.key]),
                );
        for path in paths {
            *path = base.join(&*path);
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn home(variable: &str, below_home: &str) -> Option<PathBuf> {
    match (std::env::var_os(variable), std::env::var_os("HOME")) {
        (Some(dir), _) if Path::new(&dir).is_absolute() => Some(dir.into()),
        (_, Some(home)) if !home.is_empty() => Some(PathBuf::from(home).join(below_home)),
        _ => None,
    }
}

/// Returns the user data directory.
fn data() -> Result<PathBuf, String> {
    home("XDG_DATA_HOME", ".local/share").ok_or_else(|| {
        "neither XDG_DATA_HOME nor HOME is set; give the store with --store DIR".into()
    })
}

#[cfg(test)]
mod tests {
    use skep_protocol::Scheme;

    use super::*;
    use crate::secret::SecretSource;

    #[test]
    fn the_settings_of_the_readme_are_parsed() {
        let readme = include_str!("../../../README.md");
        let (_, rest) = readme.split_once("```toml\n").unwrap();
        let (settings, _) = rest.split_once("```").unwrap();
        let mut file: SettingsFile = toml::from_str(settings).unwrap();
        file.rebase(Path::new("/etc/skep"));
        assert_eq!(file.store.as_deref(), Some(Path::new("/srv/skep")));
        assert_eq!(file.scopes[&"cache".parse().unwrap()].rights, Rights::ReadWrite);
        assert_eq!(file.remote[0].token_file.as_deref(), Some(Path::new("/etc/skep/attic.token")));
        assert_eq!(file.runtime.options().stop_grace, Duration::from_secs(5));
        assert_eq!(file.runtime.isolation(), Ok(Isolation::Auto));
        assert_eq!(file.runtime.wasi_0_3(), Wasi03::On);
        let mut limits = Limits::default();
        file.runtime.set_limits(&mut limits);
        assert_eq!(limits.compile_cpu_ms, 600_000);
        let weather = &file.secrets.0[&"weather".parse().unwrap()];
        assert_eq!(weather.source, SecretSource::File("/etc/skep/weather.key".into()));
        let request = ("GET", Scheme::Https, "api.weather.example", 443);
        assert!(weather.hosts[0].covers(request.0, request.1, request.2, request.3));
        let operator = file.operator.unwrap();
        assert_eq!(operator.limits[&LimitName::memory_bytes], 1 << 30);
        assert!(weather.hosts[0].is_within(&operator.http[0].0) && operator.secrets.len() == 1);
        assert!(SettingsFile::parse("stor = 'x'").is_err(), "a misspelled key is an error");
    }

    #[test]
    fn an_error_does_not_repeat_a_secret_in_the_settings() {
        for (line, wrong) in [
            (2, "[secrets.key]\nfile = MARKER"),
            (1, "[secrets.key]\nvalue = 'MARKER'"),
            (1, "secrets = 'MARKER'"),
            (1, "secrets.key = 'MARKER'"),
            (2, "[secrets.key]\nfile = 'MARKER"),
            (3, "[secrets.key]\nfile = 'x'\nfile = 'MARKER'"),
            (1, "[secret.key]\nvalue = 'MARKER'"),
        ] {
            let error = SettingsFile::parse(wrong).unwrap_err();
            assert!(error.starts_with(&format!(", line {line}: ")), "{wrong}: {error}");
            assert!(!error.contains("MARKER"), "{wrong}: {error}");
        }
    }
}
