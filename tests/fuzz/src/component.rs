//! A component's bytes, examined before anything is compiled.

use skep_protocol::Limits;

use crate::preflight::interfaces::Wasi03;
use crate::preflight::shape::{Refusal, Shape};

pub(crate) fn run(data: &[u8]) {
    let limits = Limits::default();
    let read = Shape::read(data, &limits);
    let again = Shape::read(data, &limits);
    match (&read, &again) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        _ => panic!("the same bytes were read differently"),
    }
    match read {
        Ok(shape) => {
            assert_eq!(shape.bytes, data.len() as u64);
            assert!(shape.code_bytes <= shape.bytes, "more code than file");
            match shape.check(&limits, Wasi03::On) {
                Ok(kind) => assert_eq!(shape.kind, Some(kind)),
                Err(refusal) => assert!(!refusal.to_string().is_empty()),
            }
        }
        // Bytes that the compiler would accept must not be called malformed.
        Err(Refusal::Malformed(why)) => {
            let valid = wasmparser::Validator::new().validate_all(data);
            assert!(valid.is_err(), "valid, and refused as malformed: {why}");
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}
