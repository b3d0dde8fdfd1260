//! The document is what it was, unless somebody meant to change it.

use std::path::Path;

/// Set, the golden file is written anew: `SKEP_RENEW=1 cargo test -p skep-api --test it document`.
const RENEW: &str = "SKEP_RENEW";

#[test]
fn the_document_is_the_golden_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = skep_api::openapi();
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == document,
        "the API's document has changed; if that is meant, renew it with {RENEW}=1"
    );
}
