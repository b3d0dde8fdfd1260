//! `wasi:config/store`: the bundle of `skep:worker/config`, for components that do not know Skep.
//!
//! The interface has only draft versions, and a linker matches a prerelease only by its exact name.
//! Both drafts have the same two functions, so one hand-written definition serves both. Generated
//! bindings would be needed twice.

use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::world::World;

/// The offered versions, all of which are linked.
const NAMES: [&str; 2] = ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft"];

/// The error of a lookup. It never occurs, because the bundle is loaded before the turn.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum LookupError {
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
            Ok((Ok::<_, LookupError>(value),))
        })?;
        store.func_wrap("get-all", |world, (): ()| {
            let values = world.data().config_all();
            Ok((Ok::<_, LookupError>(values),))
        })?;
    }
    Ok(())
}
