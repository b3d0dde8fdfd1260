//! Components and config bundles of a remote runtime.

use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::HeaderName;
use skep_protocol::{
    Artifacts, ByteStream, ComponentCheck, ComponentDigest, ComponentView, ConfigDigest,
    ConfigValues, ConfigView, Error, Page, Role, Stored,
};

use crate::request::ApiRequest;

use super::Client;
use super::json;

/// The header with the role of the caller that a registry forwards a component for, if it is lower
/// than our own.
pub(super) const ROLE: HeaderName = HeaderName::from_static("skep-role");

/// Extra time for the server to compile a component before it answers "pending".
const A_COMPILATION: Duration = Duration::from_secs(10);

#[async_trait]
impl Artifacts for Client {
    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        let mut ask = ApiRequest::post(&[&"components"]).upload("application/wasm", wasm);
        if by < Role::Admin {
            ask = ask.header(ROLE, HeaderValue::from_static(by.as_str()));
        }
        self.store(ask.patient(A_COMPILATION)).await
    }

    async fn check_component(&self, wasm: ByteStream) -> Result<ComponentCheck, Error> {
        let ask = ApiRequest::post(&[&"components"]).with("check", Some(1));
        self.ask(ask.upload("application/wasm", wasm).patient(A_COMPILATION)).await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        self.ask(ApiRequest::get(&[&"components", &digest])).await
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.ask(ApiRequest::get(&[&"components"]).with("cursor", cursor)).await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        let gone = |error: &Error| *error == Error::UnknownComponent(digest);
        self.discard(ApiRequest::delete(&[&"components", &digest]), gone).await
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let body = serde_json::to_vec(&serde_json::json!({ "values": values }));
        self.store(ApiRequest::post(&[&"configs"]).json(json(body)?)).await
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        self.ask(ApiRequest::get(&[&"configs", &digest])).await
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.ask(ApiRequest::get(&[&"configs"]).with("cursor", cursor)).await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        let gone = |error: &Error| *error == Error::UnknownConfig(digest);
        self.discard(ApiRequest::delete(&[&"configs", &digest]), gone).await
    }
}
