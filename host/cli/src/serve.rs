//! `skep up` and `skep runtime`: a store, a runtime on it, a registry over that, and a listener.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::fs::Dir;
use clap::Args;
use skep_api::{ApiParts, Metrics, ServerLimits, Surface};
use skep_protocol::{HostId, Limits, Role, RuntimeId, ScopeName, Timestamp, TokenView};
use skep_registry::{Ceilings, Network, Registry, RegistryParts};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope};
use skep_sandbox::{OutOfProcess, Outbound, Sandbox, SandboxParts, Wall};
use skep_store::{NoFaults, OpenError, Store, StoreParts};
use tokio::net::TcpListener;

use crate::failure::Failed;
use crate::report::UpReport;
use crate::running::{Note, RunningHost};
use crate::settings::{PlaceArgs, ScopeSetting, Settings};
use crate::signals::Signals;
use crate::terminal::Lost;
use crate::{OutputFormat, ambient, json, remote, run, secret, terminal};

/// How long running turns and open requests may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Hosts a runtime with its registry and the browser API, until Ctrl-C.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep up                                        on 127.0.0.1:7070, store in your data directory
  skep up --listen 127.0.0.1:0 --store ./store   any free port, a store of its own
  skep up --output json                          one line of JSON when it is ready

Then: skep worker create counter.wasm   skep worker list   skep worker logs -f WORKER")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Hosts a bare runtime, for the registries of other machines, until Ctrl-C.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep token create --role admin --store ./store   what a registry will need
  skep runtime --listen 127.0.0.1:7071 --store ./store

On the machine of the registry: skep remote add RUNTIME_ID URL --token-file FILE")]
pub(crate) struct RuntimeArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Args)]
struct ServeArgs {
    /// Address and port; port 0 is any free one [env: SKEP_LISTEN] [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// What a new store's runtime is called; an old one keeps its id [default: rt- and digits]
    #[arg(long, value_name = "RUNTIME_ID")]
    id: Option<RuntimeId>,

    #[command(flatten)]
    place: PlaceArgs,

    /// How it is said that it is ready
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// Runs the command and returns the exit code.
pub(crate) fn up(arguments: &UpArgs) -> u8 {
    serve(&arguments.serve, Surface::Browser)
}

/// Runs the command and returns the exit code.
pub(crate) fn runtime(arguments: &RuntimeArgs) -> u8 {
    serve(&arguments.serve, Surface::Runtime)
}

fn serve(arguments: &ServeArgs, surface: Surface) -> u8 {
    let served = || -> Result<(), Failed> {
        let settings = Settings::gather(&arguments.place, arguments.listen.as_deref())?;
        ambient::raise_descriptors();
        // These only carry bytes to and from the guests' threads, which want every core: the more
        // of them, the more often one is woken in vain where another is needed.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(2))
            .thread_name("skep-host")
            .enable_all()
            .build()?;
        let served = threads.block_on(async {
            let host = Host::start(settings, arguments.id.clone(), surface).await?;
            host.announce(arguments.output)?;
            host.run().await
        });
        threads.shutdown_timeout(Duration::from_millis(100));
        served
    };
    match served() {
        Ok(()) => 0,
        Err(failed) => failed.show(arguments.output),
    }
}

/// A host that is up.
struct Host {
    surface: Surface,
    embedded: Embedded,
    registry: Registry,
    listener: TcpListener,
    address: SocketAddr,
    allowed_hosts: Vec<String>,
    runtime_id: RuntimeId,
    /// What the very first start shows.
    first_token: Option<(skep_registry::Secret, TokenView)>,
    login: Option<skep_registry::Secret>,
    _note: Note,
}

impl Host {
    async fn start(
        settings: Settings,
        id: Option<RuntimeId>,
        surface: Surface,
    ) -> Result<Self, Failed> {
        if !ambient::has_proc() {
            return Err(Failed::here("the host lacks /proc, by which a store finds its files"));
        }
        let secrets = secret::all(&settings.secrets)?;
        let dir = ambient::private_store(&settings.store).map_err(|error| {
            Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
        })?;
        let store = open_store(&dir, id, &settings)?;
        let listener = TcpListener::bind(&settings.listen).await.map_err(|error| {
            Failed::here(format!("cannot listen on {}: {error}", settings.listen))
                .hint(why_not_there(&error))
        })?;
        let address = listener.local_addr()?;
        let mut limits = Limits::default();
        settings.runtime.set_limits(&mut limits);
        store.set_default_limits(&limits);
        let options = settings.runtime.options();
        if let Some(missing) = Wall::offered().missing() {
            tracing::warn!(missing, "this kernel has not all of the second wall; see skep doctor");
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sandbox = Sandbox::start(SandboxParts {
            cores,
            workers: settings.runtime.room(),
            compiler: Arc::new(run::compiler()),
            cache: Some(store.compiled_dir().map_err(|error| Failed::here(error.to_string()))?),
            limits: limits.for_any_worker(),
            outbound: {
                let outbound = Outbound::default();
                outbound.shun(address);
                outbound
            },
        })
        .map_err(|error| Failed::here(format!("the sandbox cannot be started: {error}")))?;
        let runtime_id = store.runtime_id().clone();
        let host_id = ambient::new_id::<HostId>("host")?;
        let scopes = scopes(&settings.scopes)?;
        let host = host_id.clone();
        let program = ambient::program();
        let isolation = settings.runtime.isolation()?;
        let out_of_process = Some(OutOfProcess::new(program, vec![crate::RUN.into()], isolation));
        let parts = EmbeddedParts {
            store,
            sandbox,
            scopes,
            secrets,
            out_of_process,
            options,
            host_id: host,
        };
        let embedded =
            Embedded::open(parts).map_err(|error| Failed::here(format!("the store: {error}")))?;
        let name = match surface {
            Surface::Browser => settings.workspace.as_str(),
            Surface::Runtime => runtime_id.as_str(),
        };
        let registry = Registry::open(RegistryParts {
            dir: dir.try_clone()?,
            embedded: Some(skep_registry::EmbeddedRuntime {
                handle: Arc::new(embedded.clone()),
                runtime_id: runtime_id.clone(),
                host_id,
                display_name: name.parse().map_err(|error| Failed::here(format!("{error}")))?,
            }),
            remotes: match surface {
                Surface::Browser => remote::of_settings(&settings.remotes)?,
                Surface::Runtime => Vec::new(),
            },
            local: match surface {
                Surface::Browser => local_runs(),
                Surface::Runtime => None,
            },
            connect: Arc::new(Network),
            ceilings: settings.operator.map(|operator| Ceilings {
                scopes: operator.scopes,
                http: operator.http.into_iter().map(|grant| grant.0).collect(),
                secrets: operator.secrets,
                limits: operator.limits,
            }),
            now,
            deadline: Duration::from_secs(2),
            policy: None,
            audit: None,
        })
        .map_err(|error| {
            Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
        })?;
        let access = registry.access();
        let first = !access.has_tokens()?;
        if !address.ip().is_loopback() {
            if first {
                return Err(Failed::here(format!(
                    "{address} can be reached from other machines, and nobody has a token yet"
                ))
                .hint("`skep token create --role admin` makes one; then start again"));
            }
            terminal::say(
                "warning",
                &format!("{address} can be reached from other machines, without TLS"),
            );
        }
        let (first_token, login) = match surface {
            Surface::Browser if first => {
                let token = access.create_token(skep_registry::NewToken {
                    role: Role::Admin,
                    runtimes: None,
                    expires_at: None,
                })?;
                (Some(token), Some(access.login_code()?))
            }
            Surface::Browser => (None, Some(access.login_code()?)),
            Surface::Runtime => (None, None),
        };
        let note = RunningHost {
            url: url(address),
            token: access.process_token(Role::Admin)?.expose().to_owned(),
        };
        let _note = note.announce(&dir)?;
        Ok(Self {
            surface,
            embedded,
            registry,
            listener,
            address,
            allowed_hosts: settings.allowed_hosts,
            runtime_id,
            first_token,
            login,
            _note,
        })
    }

    /// Tells the operator where it is and how to get in. A token that was not shown is not valid.
    fn announce(&self, output: OutputFormat) -> Result<(), Failed> {
        let Err(lost) = self.show(output) else { return Ok(()) };
        if let Some((_, view)) = &self.first_token {
            self.registry.access().revoke(&view.token_id)?;
        }
        Err(Failed::here(lost.to_string())
            .hint("once it can be read, `skep token create --role admin` makes a token"))
    }

    fn show(&self, output: OutputFormat) -> Result<(), Lost> {
        let url = url(self.address);
        // The code is in the part of the address that browsers do not send.
        let login = self.login.as_ref().map(|code| format!("{url}/login#{}", code.expose()));
        let token = self.first_token.as_ref().map(|(token, _)| token.expose().to_owned());
        let report =
            UpReport { url: url.clone(), runtime_id: self.runtime_id.clone(), login, token };
        match output {
            OutputFormat::Json => terminal::print(&json::line(&report)),
            OutputFormat::Text => {
                terminal::try_say("ready", &format!("{url}  (runtime {})", self.runtime_id))?;
                if let Some(login) = &report.login {
                    terminal::try_say("login", &format!("{login}  (works once, for 10 minutes)"))?;
                }
                if let Some(token) = &report.token {
                    terminal::try_say("token", &format!("{token}  (admin; shown this once)"))?;
                }
                Ok(())
            }
        }
    }

    /// Serves until it is told to stop.
    async fn run(self) -> Result<(), Failed> {
        let mut signals = Signals::take_over()?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let limits = ServerLimits { grace: GRACE, ..ServerLimits::default() };
        let router = skep_api::router(ApiParts {
            registry: self.registry.clone(),
            surface: self.surface,
            allowed_hosts: self.allowed_hosts,
            limits,
            metrics: Metrics::default(),
        });
        let served =
            tokio::spawn(skep_api::serve(self.listener, router, limits, wait_for(stopped)));
        signals.next().await;
        terminal::say("stopping", "running turns may end; once more to stop at once");
        let _ = stop.send(true);
        let down = async {
            self.embedded.shutdown(GRACE).await;
            // Whatever it ended with, it has ended.
            let _ = tokio::time::timeout(GRACE, served).await;
            // Last, since it writes down what the others still did.
            self.registry.shutdown().await;
        };
        tokio::select! {
            () = down => Ok(()),
            request = signals.next() => std::process::exit(request.exit_code().into()),
        }
    }
}

/// Where this user's foreground runs are recorded. A host without that directory shows none.
fn local_runs() -> Option<Dir> {
    let opened = ambient::local_runs();
    if let Err(error) = &opened {
        tracing::warn!(%error, "runs of `skep run` on this machine are not shown");
    }
    opened.ok()
}

/// What to do where a host cannot listen.
fn why_not_there(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "ports below 1024 are root's: use one above",
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: 127.0.0.1 is for itself alone, 0.0.0.0 is all"
        }
        // The system was not even asked.
        _ if error.raw_os_error().is_none() => {
            "it is an address or name, and a port, such as 127.0.0.1:7070, [::1]:7070 or \
             localhost:7070: see --listen, SKEP_LISTEN and `listen` in skep.toml"
        }
        _ => "another host may have the port: use --listen 127.0.0.1:0 for a free one",
    }
}

async fn wait_for(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // Where the sender is gone, so is the host.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn open_store(dir: &Dir, id: Option<RuntimeId>, settings: &Settings) -> Result<Store, Failed> {
    let new_runtime_id = match id {
        Some(id) => id,
        None => ambient::new_id("rt")?,
    };
    let parts = StoreParts {
        dir: dir.try_clone()?,
        now: now(),
        new_runtime_id,
        faults: Arc::new(NoFaults),
        vfs: None,
    };
    Store::open(parts).map_err(|error| {
        let failed =
            Failed::here(format!("cannot open the store {}: {error}", settings.store.display()));
        match error {
            OpenError::InUse => failed.hint("a host runs on it: use that one, or stop it"),
            _ => failed,
        }
    })
}

fn scopes(
    settings: &BTreeMap<ScopeName, ScopeSetting>,
) -> Result<BTreeMap<ScopeName, OperatorScope>, Failed> {
    let open = |(name, scope): (&ScopeName, &ScopeSetting)| {
        let dir = ambient::open_dir(&scope.path).map_err(|error| {
            let path = scope.path.display();
            Failed::here(format!("cannot open the directory {path} of the scope {name}: {error}"))
        })?;
        Ok((name.clone(), OperatorScope { dir, rights: scope.rights }))
    };
    settings.iter().map(open).collect()
}

/// An address as people and programs of this machine use it.
fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => match ip {
            IpAddr::V4(_) => "127.0.0.1".to_owned(),
            IpAddr::V6(_) => "[::1]".to_owned(),
        },
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("http://{host}:{}", address.port())
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::since_epoch(now.unwrap_or_default())
}
