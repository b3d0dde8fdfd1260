//! Whether the operator's secrets are where the settings say.

use super::Check;
use crate::secret;
use crate::settings::Settings;

/// Nothing where there are none.
pub(super) fn checks(settings: &Settings) -> Option<Check> {
    const NAME: &str = "secrets";
    let mut open = None;
    for (name, setting) in &settings.secrets.0 {
        match secret::find(setting) {
            Ok(found) if found.open => open = Some((name, &setting.place)),
            Ok(_) => {}
            Err(error) => {
                let found = format!("{name}: {} {error}", setting.place);
                return Some(Check::failed(NAME, found, error.hint()));
            }
        }
    }
    let known = format!("{} known", settings.secrets.0.len());
    match open {
        Some((name, place)) => Some(Check::degraded(
            NAME,
            format!("{known}; {name}: {place} can be read by others than its owner"),
            "chmod 600 keeps it to this user",
        )),
        None if settings.secrets.0.is_empty() => None,
        None => Some(Check::ok(NAME, known)),
    }
}
