//! Files of a worker's directory. They are the worker's own: a browser is never let show one.

use axum::Json;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use skep_protocol::{FileName, FileView, Imported, ListFiles, Listing};

use super::range::{Range, Wanted};
use crate::place::Place;
use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use crate::route::{Content, Route, json, stored};
use crate::upload::Upload;

/// When the file was last written, to the millisecond; HTTP's own header knows seconds only.
const MODIFIED_AT: HeaderName = HeaderName::from_static("skep-modified-at");

const BYTES: &str = "application/octet-stream";
const TAR: &str = "application/x-tar";

pub(crate) fn routes() -> Vec<Route> {
    let file = "/workers/{worker_id}/files/{*name}";
    vec![
        Route::get(
            "/workers/{worker_id}/files",
            ("listFiles", "Regular files of a worker's directory, in the order of their names"),
            list,
        )
        .query::<String>("prefix", "Only those whose names begin so.")
        .query::<String>("cursor", "Where the last page ended.")
        .answers(200, "The files.", json::<Listing<FileView>>())
        .refuses(&[410]),
        Route::get(file, ("readFile", "A file, or a part of it"), read)
            .header::<String>("Range", "One range of bytes.")
            .answers(200, "The file.", Content::Bytes(BYTES))
            .answers(206, "The part.", Content::Bytes(BYTES))
            .refuses(&[410, 416]),
        Route::put(
            file,
            ("writeFile", "Writes a file: it is there as a whole or as it was before"),
            write,
        )
        .takes(Content::Bytes(BYTES))
        .answers(201, "It is new.", json::<FileView>())
        .answers(200, "It is in place of another.", json::<FileView>())
        .refuses(&[410]),
        Route::delete(file, ("removeFile", "Removes a file"), remove)
            .answers(204, "It is removed.", Content::Empty)
            .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/files.tar",
            ("exportFiles", "A worker's directory as a tar archive"),
            export,
        )
        .answers(200, "The archive.", Content::Bytes(TAR))
        .refuses(&[410]),
        Route::put(
            "/workers/{worker_id}/files.tar",
            ("importFiles", "Unpacks a tar archive of files and directories"),
            import,
        )
        .takes(Content::Bytes(BYTES))
        .answers(200, "What was unpacked.", json::<Imported>())
        .refuses(&[410]),
    ]
}

async fn list(place: Place, query: Query) -> Answer<Json<Listing<FileView>>> {
    let wanted = ListFiles { prefix: query.text("prefix")?, cursor: query.text("cursor")? };
    Ok(Json(place.runtime.files(place.worker()?, wanted).await?))
}

async fn read(place: Place, headers: HeaderMap) -> Answer<Response> {
    let (worker, name) = (place.worker()?, place.file()?);
    let read = async |range| place.runtime.read_file(worker, name.clone(), range).await;
    let (view, bytes, part) = match Wanted::of(&headers) {
        Wanted::All => {
            let (view, bytes) = read(None).await?;
            (view, bytes, None)
        }
        wanted => {
            // Where a part lies is known only when the file's length is.
            let (view, whole) = read(None).await?;
            match wanted.within(view.bytes) {
                Some(part) => {
                    drop(whole);
                    let (now, bytes) = read(Some(part.asked())).await?;
                    let part = part.of(now.bytes).ok_or_else(Refusal::range_not_satisfiable)?;
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
    if let Some(part) = part {
        headers.insert(CONTENT_RANGE, value(&part.written(view.bytes)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn unsatisfiable(view: &FileView) -> Response {
    let mut response = Refusal::range_not_satisfiable().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_RANGE, value(&Range::none(view.bytes)));
    headers.insert(MODIFIED_AT, value(&view.modified_at.to_string()));
    response
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("it is printable ASCII")
}

/// Has a browser save it under that name, and never show it.
fn attach(headers: &mut HeaderMap, name: &str) {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    headers.insert(CONTENT_DISPOSITION, value(&disposition));
}

async fn write(place: Place, upload: Upload) -> Answer<(StatusCode, Json<FileView>)> {
    let (worker, name): (_, FileName) = (place.worker()?, place.file()?);
    Ok(stored(place.runtime.write_file(worker, name, upload.stream(None)?).await?))
}

async fn remove(place: Place) -> Answer<StatusCode> {
    place.runtime.remove_file(place.worker()?, place.file()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn export(place: Place) -> Answer<Response> {
    let worker = place.worker()?;
    let mut response = Body::from_stream(place.runtime.export(worker).await?).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TAR));
    attach(response.headers_mut(), &format!("{worker}.tar"));
    Ok(response)
}

async fn import(place: Place, upload: Upload) -> Answer<Json<Imported>> {
    let worker = place.worker()?;
    Ok(Json(place.runtime.import(worker, upload.stream(None)?).await?))
}
