//! The worker's state, and its files in `/data`.

use std::fs;

use skep_guest::{Failure, Output, data_dir, state};

use crate::{ok, split};

pub fn set(rest: &str) -> Result<Output, Failure> {
    let (key, value) = split(rest);
    state::set(key, value)?;
    ok()
}

/// Returns the value, or the failure `no-such-key`.
pub fn get(key: &str) -> Result<Output, Failure> {
    match state::get(key)? {
        Some(value) => Ok(Output::new("text/plain; charset=utf-8", value)),
        None => Err(Failure::new("no-such-key", key)),
    }
}

/// Returns `true` if the key existed, otherwise `false`.
pub fn delete(key: &str) -> Result<Output, Failure> {
    Ok(Output::text(state::delete(key)?.to_string()))
}

/// Returns one key per line.
pub fn list(prefix: &str) -> Result<Output, Failure> {
    let keys: Vec<_> = state::list(prefix).collect::<Result<_, _>>()?;
    Ok(Output::text(keys.join("\n")))
}

pub fn save(rest: &str) -> Result<Output, Failure> {
    let (name, text) = split(rest);
    fs::write(data_dir().join(name), text)?;
    ok()
}

pub fn load(name: &str) -> Result<Output, Failure> {
    Ok(Output::text(fs::read_to_string(data_dir().join(name))?))
}
