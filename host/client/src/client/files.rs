//! Files of a remote runtime's workers.

use async_trait::async_trait;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use skep_protocol::{
    ByteStream, Error, FileCondition, FileListing, FileName, FileRange, FileView, Files, Imported,
    ListFiles, RemoveFile, RenameFile, Stored, WorkerId,
};

use crate::answer::{Fault, is_type};
use crate::request::{ApiRequest, Part};
use crate::transfer::{download, empty, part};

use super::A_TURN;
use super::Client;
use super::json;

/// Time of the last write in milliseconds; `Last-Modified` has only seconds.
const MODIFIED_AT: HeaderName = HeaderName::from_static("skep-modified-at");

const TAR: &str = "application/x-tar";

#[async_trait]
impl Files for Client {
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<FileListing, Error> {
        let ask = ApiRequest::get(&[&"workers", &worker, &"files"]);
        let ask = ask.with("delimiter", query.by_directory.then_some("/"));
        self.ask(ask.with("prefix", query.prefix).with("cursor", query.cursor)).await
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let mut ask = file(ApiRequest::get, worker, &name);
        if let Some(range) = range {
            ask = ask.header(header::RANGE, written(range)?);
        }
        let response = match self.wire.open(&ask).await {
            Ok(response) => response,
            Err(failure) => return Err(self.wire.error(failure.fault)),
        };
        let (head, body) = response.into_parts();
        let body = download(body, self.wire.deadlines.body);
        let view = view(name, head.status, &head.headers);
        let view = view.ok_or(Fault::Foreign("a file response without valid headers"));
        let view = view.map_err(|fault| self.wire.error(fault))?;
        let body = match range {
            // HTTP has no empty range.
            Some(FileRange { bytes: Some(0), .. }) => empty(),
            Some(_) if head.status == StatusCode::RANGE_NOT_SATISFIABLE => empty(),
            Some(FileRange { start, bytes }) if head.status == StatusCode::OK => {
                part(body, start, bytes.unwrap_or(u64::MAX))
            }
            Some(_) | None => body,
        };
        Ok((view, body))
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
        condition: FileCondition,
    ) -> Result<Stored<FileView>, Error> {
        let ask = file(ApiRequest::put, worker, &name).upload("application/octet-stream", bytes);
        // A condition may not hold any more because of an earlier attempt.
        let ask = ask.repeatable(condition == FileCondition::Any);
        self.store(under(ask, condition)?.patient(A_TURN)).await
    }

    async fn remove_file(
        &self,
        worker: WorkerId,
        name: FileName,
        how: RemoveFile,
    ) -> Result<(), Error> {
        let ask = file(ApiRequest::delete, worker, &name).patient(A_TURN);
        let ask = under(ask.with("recursive", how.recursive.then_some(1)), how.condition)?;
        self.discard(ask, |error| *error == Error::UnknownFile).await
    }

    async fn rename_file(&self, worker: WorkerId, names: RenameFile) -> Result<(), Error> {
        let ask = ApiRequest::post(&[&"workers", &worker, &"files:rename"]);
        let ask = ask.json(json(serde_json::to_vec(&names))?).patient(A_TURN);
        let reply = self.wire.fetch(&ask).await;
        reply.map(drop).map_err(|failure| self.wire.error(failure.fault))
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        let opened = self.wire.open(&ApiRequest::get(&[&"workers", &worker, &"files.tar"])).await;
        let response = opened.map_err(|failure| self.wire.error(failure.fault))?;
        if response.status() != StatusCode::OK || !is_type(response.headers(), TAR) {
            return Err(self.wire.error(Fault::Foreign("a response that is not an archive")));
        }
        Ok(download(response.into_body(), self.wire.deadlines.body))
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        let ask = ApiRequest::put(&[&"workers", &worker, &"files.tar"]).upload(TAR, tar);
        self.ask(ask.patient(A_TURN)).await
    }
}

/// Adds a condition to a request.
fn under(ask: ApiRequest, condition: FileCondition) -> Result<ApiRequest, Error> {
    let any = HeaderValue::from_static("*");
    Ok(match condition {
        FileCondition::Any => ask,
        FileCondition::Absent => ask.header(header::IF_NONE_MATCH, any),
        FileCondition::Present => ask.header(header::IF_MATCH, any),
        FileCondition::Is(tag) => {
            let tag = HeaderValue::from_str(&tag.to_string()).map_err(|_| Error::Internal)?;
            ask.header(header::IF_MATCH, tag)
        }
    })
}

/// Creates a request for a file.
fn file(method: fn(&[Part<'_>]) -> ApiRequest, worker: WorkerId, name: &FileName) -> ApiRequest {
    method(&[&"workers", &worker, &"files"]).below(name.as_str())
}

/// Formats a range as an HTTP header, with inclusive ends.
fn written(range: FileRange) -> Result<HeaderValue, Error> {
    let FileRange { start, bytes } = range;
    let last = bytes.map(|bytes| start.saturating_add(bytes.saturating_sub(1)).to_string());
    let text = format!("bytes={start}-{}", last.unwrap_or_default());
    HeaderValue::from_str(&text).map_err(|_| Error::Internal)
}

/// Reads a file's description from response headers.
fn view(name: FileName, status: StatusCode, headers: &HeaderMap) -> Option<FileView> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bytes = match status {
        StatusCode::OK => text(header::CONTENT_LENGTH)?.parse().ok()?,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            let (_, whole) =
                text(header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
            whole.parse().ok()?
        }
        _ => return None,
    };
    let modified_at = text(MODIFIED_AT)?.parse().ok()?;
    Some(FileView { name, bytes, modified_at })
}
