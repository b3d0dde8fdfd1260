//! The host side of all interfaces that a guest may import.

pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod descriptors;
pub(crate) mod fetch;
pub(crate) mod filesystem;
pub(crate) mod http;
pub(crate) mod lifecycle;
pub(crate) mod linker;
pub(crate) mod network;
pub(crate) mod preview1;
pub(crate) mod preview3;
pub(crate) mod random;
pub(crate) mod spec;
pub(crate) mod streams;
pub(crate) mod web;
pub(crate) mod worker;
pub(crate) mod world;
