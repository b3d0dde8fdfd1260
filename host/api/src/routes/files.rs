//! Routes for files of a worker's directory. Their content is untrusted: browsers must save it,
//! never render it.

use axum::Json;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use skep_protocol::{
    Error, FileCondition, FileListing, FileName, FileView, Imported, Invalid, ListFiles,
    RemoveFile, RenameFile,
};

use super::attachment::{attach, value};
use super::range::{Range, RequestedRange};
use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::route::{BodySchema, Route, json, stored};

/// Time of the last write in milliseconds; `Last-Modified` has only seconds.
const MODIFIED_AT: HeaderName = HeaderName::from_static("skep-modified-at");

const BYTES: &str = "application/octet-stream";
const TAR: &str = "application/x-tar";

pub(crate) fn routes() -> Vec<Route> {
    let file = "/workers/{worker_id}/files/{*name}";
    vec![
        Route::get(
            "/workers/{worker_id}/files",
            ("listFiles", "Lists regular files of a worker's directory, by name"),
            list,
        )
        .query::<String>("prefix", "Prefix of the names to list.")
        .query::<String>("cursor", "Cursor of the previous page.")
        .query::<String>(
            "delimiter",
            "`/` to list one level: its directories in place of everything below them.",
        )
        .answers(200, "The files.", json::<FileListing>())
        .refuses(&[410]),
        Route::get(file, ("readFile", "Returns a file, or a range of it"), read)
            .header::<String>("Range", "One range of bytes.")
            .answers(200, "The file.", BodySchema::Bytes(BYTES))
            .answers(206, "The range.", BodySchema::Bytes(BYTES))
            .refuses(&[410, 416]),
        Route::put(
            file,
            ("writeFile", "Writes a file atomically: either whole, or not at all"),
            write,
        )
        .header::<String>("If-Match", "Tag that the file must have, or `*`.")
        .header::<String>("If-None-Match", "`*` if there must be no such file.")
        .takes(BodySchema::Bytes(BYTES))
        .answers(201, "Created.", json::<FileView>())
        .answers(200, "Replaced.", json::<FileView>())
        .refuses(&[410, 412]),
        Route::delete(file, ("removeFile", "Removes a file"), remove)
            .query::<u64>("recursive", "1 to remove a directory with everything below it.")
            .header::<String>("If-Match", "Tag that the file must have, or `*`.")
            .answers(204, "Removed.", BodySchema::Empty)
            .refuses(&[410, 412]),
        Route::post(
            "/workers/{worker_id}/files:rename",
            ("renameFile", "Gives a file or directory another name, which must be free"),
            rename,
        )
        .takes(json::<RenameFile>())
        .answers(204, "Renamed.", BodySchema::Empty)
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/files.tar",
            ("exportFiles", "Exports a worker's directory as a tar archive"),
            export,
        )
        .answers(200, "The archive.", BodySchema::Bytes(TAR))
        .refuses(&[410]),
        Route::put(
            "/workers/{worker_id}/files.tar",
            ("importFiles", "Imports a tar archive of files and directories"),
            import,
        )
        .takes(BodySchema::Bytes(BYTES))
        .answers(200, "The imported files.", json::<Imported>())
        .refuses(&[410]),
    ]
}

async fn list(target: AddressedRuntime, query: Query) -> HandlerResult<Json<FileListing>> {
    let by_directory = match query.text("delimiter")?.as_deref() {
        None => false,
        Some("/") => true,
        Some(_) => return Err(Error::from(Invalid::Query).into()),
    };
    let (prefix, cursor) = (query.text("prefix")?, query.text("cursor")?);
    let wanted = ListFiles { prefix, cursor, by_directory };
    Ok(Json(target.runtime.files(target.worker()?, wanted).await?))
}

async fn read(target: AddressedRuntime, headers: HeaderMap) -> HandlerResult<Response> {
    let (worker, name) = (target.worker()?, target.file()?);
    let read = async |range| target.runtime.read_file(worker, name.clone(), range).await;
    let (view, bytes, part) = match RequestedRange::of(&headers) {
        RequestedRange::All => {
            let (view, bytes) = read(None).await?;
            (view, bytes, None)
        }
        wanted => {
            // A suffix range can be resolved only with the file's length.
            let (view, whole) = read(None).await?;
            match wanted.within(view.bytes) {
                Some(part) => {
                    drop(whole);
                    let (now, bytes) = read(Some(part.asked())).await?;
                    let part =
                        part.of(now.bytes).ok_or_else(ProblemResponse::range_not_satisfiable)?;
                    (now, bytes, Some(part))
                }
                None => return Ok(unsatisfiable(&view)),
            }
        }
    };
    let mut response = Body::from_stream(bytes).into_response();
    attach(response.headers_mut(), view.name.as_str().rsplit('/').next().unwrap_or_default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(BYTES));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let length = part.map_or(view.bytes, |part| part.bytes());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(MODIFIED_AT, value(&view.modified_at.to_string()));
    headers.insert(ETAG, value(&view.tag().to_string()));
    if let Some(part) = part {
        headers.insert(CONTENT_RANGE, value(&part.written(view.bytes)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn unsatisfiable(view: &FileView) -> Response {
    let mut response = ProblemResponse::range_not_satisfiable().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_RANGE, value(&Range::none(view.bytes)));
    headers.insert(MODIFIED_AT, value(&view.modified_at.to_string()));
    response
}

async fn write(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<Response> {
    let (worker, name): (_, FileName) = (target.worker()?, target.file()?);
    let condition = condition(&body.headers)?;
    let file = target.runtime.write_file(worker, name, body.stream(None)?, condition).await?;
    let tag = [(ETAG, value(&file.item.tag().to_string()))];
    Ok((tag, stored(file)).into_response())
}

async fn remove(
    target: AddressedRuntime,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult<StatusCode> {
    let recursive = match query.number("recursive")? {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(Error::from(Invalid::Query).into()),
    };
    let how = RemoveFile { recursive, condition: condition(&headers)? };
    target.runtime.remove_file(target.worker()?, target.file()?, how).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rename(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<StatusCode> {
    let names = body.json(|bytes| serde_json::from_slice::<RenameFile>(bytes)).await?;
    target.runtime.rename_file(target.worker()?, names).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the condition of a change (RFC 9110, section 13.1): one tag or `*`.
fn condition(headers: &HeaderMap) -> HandlerResult<FileCondition> {
    let single = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().map_err(|_| Invalid::Header));
        match values.next() {
            None => value.transpose(),
            Some(_) => Err(Invalid::Header),
        }
    };
    let condition = match (single(IF_MATCH)?, single(IF_NONE_MATCH)?) {
        (None, None) => FileCondition::Any,
        (None, Some("*")) => FileCondition::Absent,
        (Some("*"), None) => FileCondition::Present,
        (Some(tag), None) => FileCondition::Is(tag.trim().parse()?),
        _ => return Err(Error::from(Invalid::Header).into()),
    };
    Ok(condition)
}

async fn export(target: AddressedRuntime) -> HandlerResult<Response> {
    let worker = target.worker()?;
    let mut response = Body::from_stream(target.runtime.export(worker).await?).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TAR));
    attach(response.headers_mut(), &format!("{worker}.tar"));
    Ok(response)
}

async fn import(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<Json<Imported>> {
    let worker = target.worker()?;
    Ok(Json(target.runtime.import(worker, body.stream(None)?).await?))
}
