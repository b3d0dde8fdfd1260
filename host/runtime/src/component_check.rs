//! The description of a component that is not stored: what it imports, what of that is offered, and
//! whether the preflight refuses it.

use sha2::{Digest, Sha256};
use skep_protocol::text::{brief, neutral};
use skep_protocol::{
    ComponentCheck, ComponentDigest, ComponentRefusal, GrantKind, ImportCheck, ImportStatus, Limits,
};
use skep_sandbox::interfaces::{Grant, MissingInterface};
use skep_sandbox::{Import, Shape, Wasi03};

use crate::components::refused;

/// Maximum number of imports and exports, and of characters of each. Real components have some
/// dozens; an untrusted one may have a million.
pub(crate) const MAX_NAMES: usize = 1_000;
const MAX_NAME_CHARS: usize = 200;

/// The preview1 function without which a module opens no file.
const OPENS_FILES: &str = "wasi_snapshot_preview1.path_open";

/// Returns a name from a component, bounded and without control characters.
pub(crate) fn shown(name: &dyn std::fmt::Display) -> String {
    neutral(&brief(&name.to_string(), MAX_NAME_CHARS)).to_string()
}

/// Reads a component's headers. It takes milliseconds and compiles nothing.
pub(crate) fn describe(wasm: &[u8], limits: &Limits, wasi_0_3: Wasi03) -> ComponentCheck {
    let mut check = ComponentCheck {
        digest: ComponentDigest::from_sha256(Sha256::digest(wasm).into()),
        kind: None,
        bytes: wasm.len() as u64,
        imports: Vec::new(),
        exports: Vec::new(),
        grants: Vec::new(),
        refusal: None,
    };
    let shape = match Shape::read(wasm, limits) {
        Ok(shape) => shape,
        Err(error) => {
            check.refusal = Some(ComponentRefusal::from(&refused(&error)));
            return check;
        }
    };
    check.kind = shape.kind;
    check.imports = shape.imports.iter().take(MAX_NAMES).map(import).collect();
    check.exports = shape.exports.iter().take(MAX_NAMES).map(|name| shown(name)).collect();
    check.grants = shape.imports.iter().filter_map(grant).collect();
    check.grants.sort_unstable();
    check.grants.dedup();
    let refusal = shape.check(limits, wasi_0_3).err();
    check.refusal = refusal.map(|error| ComponentRefusal::from(&refused(&error)));
    check
}

fn import(import: &Import) -> ImportCheck {
    let (status, have) = match import.found {
        Ok(None) => (ImportStatus::Offered, None),
        Ok(Some(offer)) => {
            let status = match offer.grant {
                Grant::Http | Grant::Sockets => ImportStatus::NotGranted,
                Grant::None | Grant::Directory => ImportStatus::Offered,
            };
            (status, Some(offer.version))
        }
        Err(MissingInterface::Version { have }) => (ImportStatus::OtherVersion, Some(have)),
        Err(MissingInterface::Unknown) => (ImportStatus::Unknown, None),
    };
    ImportCheck { name: shown(&import.name), status, have: have.map(str::to_owned) }
}

/// Returns the kind of grant that an import could use. There is none for sockets.
fn grant(import: &Import) -> Option<GrantKind> {
    match import.found {
        Ok(None) if import.name.to_string() == OPENS_FILES => Some(GrantKind::Scopes),
        Ok(Some(offer)) => match offer.grant {
            Grant::Directory => Some(GrantKind::Scopes),
            Grant::Http => Some(GrantKind::Http),
            Grant::None | Grant::Sockets => None,
        },
        Ok(None) | Err(_) => None,
    }
}
