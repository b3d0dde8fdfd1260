//! A host from its start to its shutdown.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skep_api::{ApiParts, Console, Metrics, ServerLimits, Surface};
use skep_protocol::{HostId, Role, RuntimeId};
use skep_registry::{Discovery, Registry};
use skep_runtime::Embedded;
use skep_steps::{StepHost, WithSteps};
use tokio::net::TcpListener;

use super::exposure::{FirstCredentials, url};
use super::membership::{FleetRuntimes, RuntimeMember};
use super::parts::{self, FoundElsewhere, NativeCode};
use super::sites::BoundSite;
use crate::failure::Failed;
use crate::fleet_file::{ApiFile, RuntimeFile};
use crate::output::OutputFormat;
use crate::report::UpReport;
use crate::running::{HostNote, RunningHost};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::site_setting::SiteSetting;
use crate::terminal::LostOutput;
use crate::{ambient, json, secret, terminal};

/// Time that running turns and open requests get to end.
const GRACE: Duration = Duration::from_secs(10);

/// A host that has bound its socket and opened its store.
pub(crate) struct ServingHost {
    surface: Surface,
    runtime: Embedded,
    /// None if their store cannot be used.
    steps: Option<StepHost>,
    registry: Registry,
    listener: Option<TcpListener>,
    address: Option<SocketAddr>,
    member: Option<(RuntimeMember, HostId)>,
    allowed_hosts: Vec<String>,
    sites: Vec<BoundSite>,
    runtime_id: RuntimeId,
    credentials: FirstCredentials,
    _note: Option<HostNote>,
}

/// The ways by which a host is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostReach<'a> {
    /// File of its membership in a fleet.
    pub(crate) fleet: Option<&'a Path>,
    /// True if it listens on a port.
    pub(crate) has_port: bool,
}

impl HostReach<'_> {
    /// Returns the reach of a host outside of fleets.
    pub(crate) const fn port() -> Self {
        Self { fleet: None, has_port: true }
    }
}

impl ServingHost {
    /// Builds all parts and leaves the note by which this user's commands find the host.
    pub(super) async fn start(
        settings: Settings,
        id: Option<RuntimeId>,
        surface: Surface,
        reach: HostReach<'_>,
    ) -> Result<Self, Failed> {
        Self::start_with(settings, id, surface, reach, NativeCode::of_host()).await
    }

    /// Starts with native code in these places.
    pub(crate) async fn start_with(
        settings: Settings,
        id: Option<RuntimeId>,
        surface: Surface,
        reach: HostReach<'_>,
        code: NativeCode,
    ) -> Result<Self, Failed> {
        if !ambient::has_proc() {
            return Err(Failed::here("/proc is missing; a store needs it to find its files")
                .hint("mount /proc, also in a container"));
        }
        let secrets = secret::read_all(&settings.secrets)?;
        let dir = ambient::private_store(&settings.store).map_err(|error| {
            Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
        })?;
        let runtime_file = match (reach.fleet, surface) {
            (Some(path), Surface::Runtime) => Some((path, RuntimeFile::read(path)?)),
            _ => None,
        };
        let id = id.or_else(|| runtime_file.as_ref().map(|(_, file)| file.runtime_id.clone()));
        let store = parts::store(&dir, id, &settings)?;
        let listener = match reach.has_port {
            true => Some(parts::listener(&settings.listen).await?),
            false => None,
        };
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let runtime_id = store.runtime_id().clone();
        let host_id = ambient::new_id::<HostId>("host")?;
        let steps = parts::steps(&dir, &runtime_id, secrets.clone(), address, &settings);
        let runtime = parts::runtime(store, code, secrets, host_id.clone(), address, &settings)?;
        let of_host = host_id.clone();
        let display_name = match surface {
            Surface::Browser => settings.workspace.as_str(),
            Surface::Runtime => runtime_id.as_str(),
        };
        let embedded = skep_registry::EmbeddedRuntime {
            handle: Arc::new(WithSteps::new(Arc::new(runtime.clone()), steps.clone())),
            runtime_id: runtime_id.clone(),
            host_id,
            display_name: display_name.parse().map_err(|error| Failed::here(format!("{error}")))?,
        };
        let specs = SiteSetting::specs(&settings.sites, &runtime_id).map_err(Failed::here)?;
        let (discovery, shared) = match (reach.fleet, surface) {
            (Some(path), Surface::Browser) => {
                let fleet = FleetRuntimes::start(path, ApiFile::read(path)?).await?;
                let shared = fleet.shared_access();
                let discovery: Arc<dyn Discovery> = Arc::new(fleet);
                (Some(discovery), Some(shared))
            }
            _ => (None, None),
        };
        let found = FoundElsewhere { sites: specs.clone(), discovery, shared };
        let registry = parts::registry(&dir, embedded, &settings, surface, found)?;
        let credentials = FirstCredentials::create(&registry, surface, address).await?;
        let member = match runtime_file {
            None => None,
            Some((_, file)) if file.runtime_id != runtime_id => {
                return Err(Failed::refused(format!(
                    "this store is that of the runtime {runtime_id}, but the fleet file is for {}",
                    file.runtime_id
                ))
                .hint("use the file of this runtime, or another --store"));
            }
            Some((path, file)) => {
                registry.access().add_process_token(&file.token, Role::Admin)?;
                Some((RuntimeMember::start(path, &file).await?, of_host))
            }
        };
        let _note = match address {
            None => None,
            Some(address) => {
                let token = registry.access().process_token(Role::Admin)?.expose().to_owned();
                let is_in_fleet = reach.fleet.is_some() && surface == Surface::Browser;
                Some(RunningHost { url: url(address), token, is_in_fleet }.announce(&dir)?)
            }
        };
        let mut sites = Vec::new();
        for (setting, spec) in settings.sites.iter().zip(specs) {
            sites.push(BoundSite::bind(setting, spec).await?);
        }
        let allowed_hosts = settings.allowed_hosts;
        Ok(Self {
            surface,
            runtime,
            steps,
            registry,
            listener,
            address,
            member,
            allowed_hosts,
            sites,
            runtime_id,
            credentials,
            _note,
        })
    }

    /// Returns the runtime.
    pub(crate) fn runtime(&self) -> Embedded {
        self.runtime.clone()
    }

    /// Prints the host's address and credentials. If that fails, revokes the token that was not
    /// shown.
    pub(crate) fn announce(&self, output: OutputFormat) -> Result<(), Failed> {
        let Err(lost) = self.show(output) else { return Ok(()) };
        if let Some((_, view)) = &self.credentials.token {
            let access = self.registry.access();
            tokio::task::block_in_place(|| access.revoke(&view.token_id))?;
        }
        Err(Failed::here(lost.to_string()).hint(
            "once its output can be written, run `skep token create --role admin` to get a token",
        ))
    }

    fn show(&self, output: OutputFormat) -> Result<(), LostOutput> {
        let url = self.address.map(url);
        // Browsers do not send the part of a URL after the `#`, so the code is in no server's log.
        let login = self.credentials.login.as_ref().zip(url.as_ref());
        let login = login.map(|(code, url)| format!("{url}/login#{}", code.expose()));
        let token = &self.credentials.token;
        let token = token.as_ref().map(|(token, _)| token.expose().to_owned());
        let sites = self.sites.iter().map(BoundSite::url).collect();
        let report =
            UpReport { url: url.clone(), runtime_id: self.runtime_id.clone(), login, token, sites };
        match output {
            OutputFormat::Json => terminal::print(&json::line(&report)),
            OutputFormat::Text => {
                let at = url.unwrap_or_else(|| "in the fleet".to_owned());
                terminal::try_say("ready", &format!("{at}  (runtime {})", self.runtime_id))?;
                for site in &self.sites {
                    terminal::try_say("site", &format!("{}  ({})", site.url(), site.name()))?;
                }
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

    /// Serves until the first stop request, then drains. A second request exits at once.
    pub(crate) async fn run(self) -> Result<(), Failed> {
        let mut signals = Signals::take_over()?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let limits = ServerLimits { grace: GRACE, ..ServerLimits::default() };
        let router = skep_api::router(ApiParts {
            registry: self.registry.clone(),
            surface: self.surface,
            allowed_hosts: self.allowed_hosts,
            limits,
            metrics: Metrics::default(),
            console: Console::embedded(),
            ci_runs: Some(Arc::new(skep_ci::StoredRuns::new(ambient::existing_ci_cache))),
        });
        let mut served = Vec::new();
        if let Some(listener) = self.listener {
            let shutdown = wait_for(stopped.clone());
            served.push(tokio::spawn(skep_api::serve(listener, router.clone(), limits, shutdown)));
        }
        let announced = self.member.map(|(member, host_id)| {
            let (streams, announced) =
                member.announce(self.runtime.clone(), self.runtime_id.clone(), host_id);
            let shutdown = wait_for(stopped.clone());
            served.push(tokio::spawn(skep_api::serve(streams, router.clone(), limits, shutdown)));
            announced
        });
        let sites: Vec<_> = self
            .sites
            .into_iter()
            .map(|site| {
                let shutdown = wait_for(stopped.clone());
                tokio::spawn(site.serve(self.registry.clone(), limits, shutdown))
            })
            .collect();
        signals.next().await;
        terminal::say("stopping", "draining running turns; press Ctrl-C again to stop immediately");
        let _ = stop.send(true);
        let down = async {
            // Their callers ask again.
            if let Some(steps) = &self.steps {
                steps.close();
            }
            self.runtime.shutdown(GRACE).await;
            // The servers are down, whatever their results were.
            for served in served {
                let _ = tokio::time::timeout(GRACE, served).await;
            }
            if let Some(announced) = announced {
                announced.end().await;
            }
            for site in sites {
                let _ = tokio::time::timeout(GRACE, site).await;
            }
            // The registry is last: it records what the others did until their end.
            self.registry.shutdown().await;
        };
        tokio::select! {
            () = down => Ok(()),
            request = signals.next() => std::process::exit(request.exit_code().into()),
        }
    }
}

async fn wait_for(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // An error means that the sender was dropped with the host, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
