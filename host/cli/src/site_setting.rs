//! The `[[http]]` sections of `skep.toml`: HTTP workers on addresses of their own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use skep_api::{TlsIdentity, TlsIdentityError};
use skep_protocol::{RouteAuth, RoutePrefix, RuntimeId, SiteName, WorkerId};
use skep_registry::{SiteRoute, SiteSpec};

/// An `[[http]]` section: an address, and the workers that answer on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteSetting {
    /// Name of the site for `skep route`. Two sites have two names.
    #[serde(default = "main_site")]
    name: SiteName,
    /// Address and port.
    pub(crate) listen: String,
    /// Certificate and key. Without it, the address speaks plain HTTP.
    pub(crate) tls: Option<TlsSetting>,
    /// True if routes of `skep route` may be public. Those of `routes` always may.
    #[serde(default)]
    public: bool,
    #[serde(default)]
    routes: Vec<RouteSetting>,
}

/// The files of a certificate, in PEM. They are read when the host starts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSetting {
    /// The certificate, and those of its issuers after it.
    pub(crate) cert: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// A route of an `[[http]]` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSetting {
    /// Host that clients ask for. Without it, this machine's own names; `*` for any.
    host: Option<String>,
    /// Beginning of the path.
    #[serde(default = "root")]
    path: String,
    /// `WORKER_ID` or `RUNTIME_ID/WORKER_ID`.
    worker: String,
    #[serde(default)]
    auth: RouteAuth,
}

fn main_site() -> SiteName {
    "main".parse().expect("that is a site's name")
}

fn root() -> String {
    "/".to_owned()
}

impl RouteSetting {
    fn route(&self, own: &RuntimeId) -> Result<SiteRoute, String> {
        let (runtime, worker) = match self.worker.split_once('/') {
            Some((runtime, worker)) => (Some(runtime), worker),
            None => (None, self.worker.as_str()),
        };
        let unknown = |error: String| {
            format!(
                "[[http]] worker `{}`: {error}; give WORKER_ID or RUNTIME_ID/WORKER_ID, as `skep \
                 worker list` shows them",
                self.worker
            )
        };
        if !self.path.starts_with('/') {
            return Err(format!("[[http]] path `{}` does not begin with a slash", self.path));
        }
        let prefix = format!("{}{}", self.host.as_deref().unwrap_or_default(), self.path);
        let wrong = |error| format!("[[http]] route `{prefix}`: {error}");
        let prefix = prefix.parse::<RoutePrefix>().map_err(wrong)?;
        let runtime = runtime.map(str::parse::<RuntimeId>).transpose();
        let runtime = runtime.map_err(|error| unknown(error.to_string()))?;
        Ok(SiteRoute {
            prefix,
            runtime_id: runtime.unwrap_or_else(|| own.clone()),
            worker_id: worker.parse::<WorkerId>().map_err(|error| unknown(error.to_string()))?,
            auth: self.auth,
        })
    }
}

impl TlsSetting {
    /// Reads the certificate.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn identity(&self) -> Result<TlsIdentity, String> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| format!("[[http]] tls: cannot read {}: {error}", path.display()))
        };
        let (chain, key) = (read(&self.cert)?, read(&self.key)?);
        TlsIdentity::from_pem(&chain, &key).map_err(|error| {
            let path = if error == TlsIdentityError::Key { &self.key } else { &self.cert };
            format!("[[http]] tls: {}: {error}", path.display())
        })
    }
}

impl SiteSetting {
    /// Returns the site. Workers without a runtime are those of `own`.
    fn spec(&self, own: &RuntimeId) -> Result<SiteSpec, String> {
        let routes = self.routes.iter().map(|route| route.route(own));
        let (name, public) = (self.name.clone(), self.public);
        Ok(SiteSpec { name, public, routes: routes.collect::<Result<_, _>>()? })
    }

    /// Returns all sites, in order.
    ///
    /// # Errors
    /// A sentence that names the route, or the name that two sites have.
    pub(crate) fn specs(sites: &[Self], own: &RuntimeId) -> Result<Vec<SiteSpec>, String> {
        let mut names = BTreeSet::new();
        if let Some(again) = sites.iter().find(|site| !names.insert(&site.name)) {
            return Err(format!(
                "two sites of [[http]] have the name `{}`; give each a `name` of its own",
                again.name
            ));
        }
        sites.iter().map(|site| site.spec(own)).collect()
    }
}
