//! `wasi:config/store`, for components that know nothing of Skep: the same bundle as
//! `skep:worker/config`.
//!
//! The interface never left its drafts, and each stands for itself: a linker finds a prerelease by
//! its exact name only. They have the same two functions, so one description serves both, where
//! generated bindings would be had twice.

use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::world::World;

/// Its names, all of which are linked.
const NAMES: [&str; 2] = ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft"];

/// Why a value could not be had. It always can: a bundle is read before its turn.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

pub(super) fn add_to_linker(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    for name in NAMES {
        let mut store = linker.instance(name)?;
        store.func_wrap("get", |world, (key,): (String,)| {
            let value = world.data().config(&key);
            Ok((Ok::<_, ConfigError>(value),))
        })?;
        store.func_wrap("get-all", |world, (): ()| {
            let values = world.data().config_all();
            Ok((Ok::<_, ConfigError>(values),))
        })?;
    }
    Ok(())
}
