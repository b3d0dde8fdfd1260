//! From a component's bytes to code that can be instantiated.

pub(crate) mod compile;
pub(crate) mod compile_lock;
pub(crate) mod compiled;
mod compiler_input;
pub(crate) mod engine;
pub(crate) mod file_state;
pub(crate) mod function_cache;
pub(crate) mod functions;
pub(crate) mod known_digests;
pub(crate) mod loaded;
pub(crate) mod places;
pub(crate) mod private_dir;
pub(crate) mod shortage;
