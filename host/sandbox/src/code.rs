//! From a component's bytes to code that can be instantiated.

pub(crate) mod compile;
pub(crate) mod compiled;
pub(crate) mod engine;
pub(crate) mod loaded;
pub(crate) mod places;
pub(crate) mod shortage;
