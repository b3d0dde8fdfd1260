//! Provenance of a run: an in-toto statement with the predicate SLSA v1, in a DSSE envelope signed
//! with Ed25519 if a key is given.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use skep_protocol::Timestamp;

use crate::result::RunResult;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const PAYLOAD: &str = "application/vnd.in-toto+json";
const BUILD: &str = "https://skep.dev/ci/v1";

/// An artifact or a dependency.
#[derive(Debug, Serialize)]
struct ResourceDescriptor {
    name: String,
    digest: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<ResourceDescriptor>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: serde_json::Value,
    internal_parameters: serde_json::Value,
    resolved_dependencies: Vec<ResourceDescriptor>,
}

#[derive(Debug, Serialize)]
struct RunDetails {
    builder: Builder,
    metadata: BuildMetadata,
}

#[derive(Debug, Serialize)]
struct Builder {
    id: String,
    version: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildMetadata {
    invocation_id: String,
    started_on: String,
    finished_on: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: &'static str,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Serialize)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// A key that cannot sign.
#[derive(Debug, thiserror::Error)]
#[error("{0}; make one with `openssl genpkey -algorithm ed25519`")]
pub struct KeyError(String);

/// Returns the statement about a run as JSON. The subjects are the outputs of steps that ended as
/// expected.
pub fn statement(run: &RunResult, builder: &str) -> Vec<u8> {
    let sha256 = |text: &str| {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        BTreeMap::from([("sha256", hex.to_owned())])
    };
    let good = || run.steps.iter().filter(|step| step.as_expected);
    let mut subject = Vec::new();
    let mut dependencies = BTreeMap::new();
    for step in good() {
        for file in &step.out.files {
            let name = format!("{}/{}", step.id, file.path);
            subject.push(ResourceDescriptor { name, digest: sha256(&file.digest) });
        }
        let uses = [(&step.component, "component"), (&step.input_root, "tree")];
        for (digest, what) in uses.into_iter().filter_map(|(it, what)| Some((it.as_ref()?, what))) {
            let name = match what {
                "component" => step.tool.clone(),
                _ => format!("{} (inputs)", step.id),
            };
            dependencies.entry(digest.clone()).or_insert(name);
        }
    }
    let actions: BTreeMap<_, _> =
        good().filter_map(|step| Some((step.id.clone(), step.action.clone()?))).collect();
    let time = |ms: u64| Timestamp::since_epoch(std::time::Duration::from_millis(ms)).to_string();
    let finished = run.started_at_ms.saturating_add(run.wall_ms as u64);
    let statement = Statement {
        kind: STATEMENT,
        subject,
        predicate_type: PREDICATE,
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: BUILD,
                external_parameters: serde_json::json!({ "pipeline": sha256(&run.pipeline_digest) }),
                internal_parameters: serde_json::json!({
                    "actions": actions, "world": run.host.world,
                }),
                resolved_dependencies: dependencies
                    .into_iter()
                    .map(|(digest, name)| ResourceDescriptor { name, digest: sha256(&digest) })
                    .collect(),
            },
            run_details: RunDetails {
                builder: Builder {
                    id: builder.to_owned(),
                    version: BTreeMap::from([("skep", run.host.version.clone())]),
                },
                metadata: BuildMetadata {
                    invocation_id: run.run_id.clone(),
                    started_on: time(run.started_at_ms),
                    finished_on: time(finished),
                },
            },
        },
    };
    serde_json::to_vec(&statement).expect("a statement has string keys")
}

/// Signs a statement with an Ed25519 key in PKCS#8 PEM, and returns the envelope as JSON.
///
/// # Errors
/// If the key is not one.
pub fn sign(statement: &[u8], pem: &str) -> Result<Vec<u8>, KeyError> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body.trim()).map_err(|_| KeyError("the key is not PEM".into()))?;
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map_err(|error| KeyError(format!("it is no Ed25519 key in PKCS#8: {error}")))?;
    let signature = key.sign(&authenticated(statement));
    let envelope = Envelope {
        payload_type: PAYLOAD,
        payload: STANDARD.encode(statement),
        signatures: vec![EnvelopeSignature {
            keyid: crate::digest::digest_of(key.public_key().as_ref()).hex(),
            sig: STANDARD.encode(signature.as_ref()),
        }],
    };
    Ok(serde_json::to_vec(&envelope).expect("an envelope has string keys"))
}

/// Returns DSSE's pre-authentication encoding.
fn authenticated(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), statement.len());
    [head.as_bytes(), statement].concat()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_envelope_verifies_with_the_public_key_and_no_other_text() {
        let random = ring::rand::SystemRandom::new();
        let der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(&der)
        );
        let envelope = sign(b"{}", &pem).unwrap();
        let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
        let sig = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
        public.verify(b"DSSEv1 28 application/vnd.in-toto+json 2 {}", &sig).unwrap();
        assert!(public.verify(b"{}", &sig).is_err());
        assert!(sign(b"{}", "not a key").is_err());
    }
}
