//! The `[[http]]` sections of `skep.toml`: HTTP workers on addresses of their own.

use std::path::PathBuf;

use serde::Deserialize;
use skep_api::{SiteAccess, SiteRoute, TlsIdentity, TlsIdentityError};
use skep_protocol::{RuntimeId, WorkerId};

/// An `[[http]]` section: an address, and the workers that answer on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteSetting {
    /// Address and port.
    pub(crate) listen: String,
    /// Certificate and key. Without it, the address speaks plain HTTP.
    pub(crate) tls: Option<TlsSetting>,
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
    auth: Auth,
}

/// The right to use a route.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Auth {
    #[default]
    Token,
    Public,
}

fn root() -> String {
    "/".to_owned()
}

impl RouteSetting {
    fn route(&self) -> Result<SiteRoute, String> {
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
        let runtime = runtime.map(str::parse::<RuntimeId>).transpose();
        Ok(SiteRoute {
            host: self.host.clone(),
            path: self.path.clone(),
            runtime_id: runtime.map_err(|error| unknown(error.to_string()))?,
            worker_id: worker.parse::<WorkerId>().map_err(|error| unknown(error.to_string()))?,
            access: match self.auth {
                Auth::Token => SiteAccess::Token,
                Auth::Public => SiteAccess::Public,
            },
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
    /// Returns the routes.
    pub(crate) fn routes(&self) -> Result<Vec<SiteRoute>, String> {
        self.routes.iter().map(RouteSetting::route).collect()
    }
}
