//! Turns of a remote runtime.

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{self, HeaderName};
use skep_protocol::{
    Conflict, Cursor, Ending, Entry, EntryFilter, EntryKind, EntryPage, EntryPlace, EntryStream,
    EntryText, Error, InputId, InputSummary, InputView, Invalid, ListEntries, ListInputs,
    NameError, NewInput, Page, Preview, Sent, Turns, WorkerId,
};

use crate::answer::Fault;
use crate::feed::Entries;
use crate::follow::follow;
use crate::request::{ApiRequest, RequestContent};
use crate::wire::ExchangeFailure;

use super::A_TURN;
use super::Client;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header with the token id of the caller that a registry forwards an input for.
const SENDER: HeaderName = HeaderName::from_static("skep-sender");

/// Default number of entries in a page.
const PAGE: usize = 100;

#[async_trait]
impl Turns for Client {
    /// Servers wait at most a minute, so a longer wait is shortened to that.
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let NewInput { payload, key, wait, sender } = input;
        let mut ask = ApiRequest::post(&[&"workers", &worker, &"inputs"]).wait(wait);
        if !payload.content_type.is_empty() {
            let content_type = HeaderValue::from_str(&payload.content_type);
            ask = ask.header(header::CONTENT_TYPE, content_type.map_err(|_| Invalid::Header)?);
        }
        if let Some(key) = key {
            // HTTP strips white space around values, so such a key would arrive changed.
            let key = Some(key.as_str()).filter(|key| key.trim() == *key);
            let key = key.and_then(|key| HeaderValue::from_str(key).ok());
            let key = key.ok_or(Invalid::Name(NameError::IdempotencyKey))?;
            ask = ask.header(IDEMPOTENCY_KEY, key).repeatable(true);
        }
        if let Some(sender) = sender {
            let sender = HeaderValue::from_str(sender.as_str()).map_err(|_| Invalid::Header)?;
            ask = ask.header(SENDER, sender);
        }
        ask.content = RequestContent::Bytes(payload.body);
        self.ask(ask).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let ask = ApiRequest::delete(&[&"workers", &worker, &"inputs", &input]).patient(A_TURN);
        match self.fetch(&ask.repeatable(true)).await {
            Ok(reply) => self.wire.shape(&reply),
            Err(ExchangeFailure { fault, repeated: true })
                if fault == Fault::Said(Conflict::Ended.into()) =>
            {
                // An earlier attempt may have ended it.
                let view = self.input(worker, input).await?;
                let ended = view.outcome.as_ref().map(|outcome| outcome.ending);
                if ended == Some(Ending::Cancelled) {
                    Ok(view)
                } else {
                    Err(self.wire.error(fault))
                }
            }
            Err(failure) => Err(self.wire.error(failure.fault)),
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.ask(ApiRequest::get(&[&"workers", &worker, &"inputs", &input])).await
    }

    async fn inputs(
        &self,
        worker: WorkerId,
        query: ListInputs,
    ) -> Result<Page<InputSummary>, Error> {
        let ask = ApiRequest::get(&[&"workers", &worker, &"inputs"]);
        let limit = Some(query.limit).filter(|&limit| limit > 0);
        self.ask(ask.with("limit", limit).with("cursor", query.cursor)).await
    }

    async fn transcript(&self, worker: WorkerId, query: ListEntries) -> Result<EntryPage, Error> {
        self.ask(page(worker, query)).await
    }

    async fn entry(&self, worker: WorkerId, seq: Cursor) -> Result<Entry, Error> {
        self.ask(ApiRequest::get(&[&"workers", &worker, &"transcript", &seq])).await
    }

    /// Reconnects for as long as [`crate::ClientDeadlines::give_up`] allows. Without a start cursor it
    /// fails if the connection is lost before the first entry, because later ones could be missed.
    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
        preview: Option<Preview>,
    ) -> Result<EntryStream, Error> {
        follow(self.wire.clone(), Entries::new(worker, after, preview)).await
    }
}

/// Creates the request for a page of a transcript.
fn page(worker: WorkerId, query: ListEntries) -> ApiRequest {
    let ListEntries { place, limit, filter, preview } = query;
    let EntryFilter { kinds, input_id, text } = filter;
    let limit = Some(limit).filter(|&limit| limit > 0);
    let ask = ApiRequest::get(&[&"workers", &worker, &"transcript"]);
    let ask = match place {
        EntryPlace::After(after) => ask.with("after", Some(after)).with("limit", limit),
        EntryPlace::Before(before) => ask.with("before", Some(before)).with("limit", limit),
        EntryPlace::End => ask.with("last", Some(limit.unwrap_or(PAGE))),
        EntryPlace::At(time) => ask.with("at", Some(time)).with("limit", limit),
    };
    let kinds: Vec<_> = kinds.into_iter().map(EntryKind::as_str).collect();
    ask.with("kind", Some(kinds.join(",")).filter(|kinds| !kinds.is_empty()))
        .with("input_id", input_id)
        .with("q", text.as_ref().map(EntryText::as_str))
        .with("preview", preview.map(Preview::bytes))
}
