//! The check of the operator's secrets.

use super::check::Check;
use crate::secret;
use crate::settings::Settings;

/// Reads each secret. Returns `None` if the settings have none.
pub(super) fn checks(settings: &Settings) -> Option<Check> {
    const NAME: &str = "secrets";
    let mut exposed = None;
    for (name, setting) in &settings.secrets.0 {
        match secret::read(setting) {
            Ok(loaded) if loaded.exposed => exposed = Some((name, &setting.source)),
            Ok(_) => {}
            Err(error) => {
                let found = format!("{name}: {} {error}", setting.source);
                return Some(Check::failed(NAME, found, error.hint()));
            }
        }
    }
    let known = format!("{} known", settings.secrets.0.len());
    match exposed {
        Some((name, source)) => Some(Check::degraded(
            NAME,
            format!("{known}; {name}: {source} is readable by other users"),
            "run `chmod 600` to restrict it to its owner",
        )),
        None if settings.secrets.0.is_empty() => None,
        None => Some(Check::ok(NAME, known)),
    }
}
