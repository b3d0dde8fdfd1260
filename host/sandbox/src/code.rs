//! From a component's bytes to code that can be instantiated.

pub(crate) mod compile;
pub(crate) mod compile_lock;
pub(crate) mod compiled;
mod compiler_input;
pub(crate) mod engine;
pub(crate) mod function_cache;
pub(crate) mod functions;
pub(crate) mod loaded;
pub(crate) mod places;
pub(crate) mod shortage;
