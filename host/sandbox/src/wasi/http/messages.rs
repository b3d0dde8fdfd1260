//! The library's requests, answers and bodies, with what a guest has the host keep of them counted.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{self, Method, Scheme, StatusCode, Trailers};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest,
    HostOutgoingResponse, HostResponseOutparam,
};
use wasmtime_wasi_http::p2::{HeaderError, HeaderResult, HttpError, HttpResult};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView};

use super::held::{self, Held};

/// What the interface is called on.
pub(super) struct Messages<'a> {
    pub(super) http: WasiHttpCtxView<'a>,
    pub(super) held: &'a mut Held,
}

/// The same handle once more.
fn again(fields: &Resource<FieldMap>) -> Resource<FieldMap> {
    Resource::new_borrow(fields.rep())
}

impl Messages<'_> {
    fn count_fields(&mut self, fields: &Resource<FieldMap>) -> wasmtime::Result<()> {
        let bytes = held::size(self.http.table.get(fields)?);
        Ok(self.held.count(fields.rep(), bytes)?)
    }
}

impl outgoing_handler::Host for Messages<'_> {
    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<types::RequestOptions>>,
    ) -> HttpResult<Resource<HostFutureIncomingResponse>> {
        // On its way it is held to what requests are.
        self.held.forget(request.rep());
        outgoing_handler::Host::handle(&mut self.http, request, options)
    }
}

impl types::Host for Messages<'_> {
    fn convert_error_code(&mut self, err: HttpError) -> wasmtime::Result<types::ErrorCode> {
        types::Host::convert_error_code(&mut self.http, err)
    }

    fn convert_header_error(&mut self, err: HeaderError) -> wasmtime::Result<types::HeaderError> {
        types::Host::convert_header_error(&mut self.http, err)
    }

    fn http_error_code(
        &mut self,
        err: Resource<types::IoError>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        types::Host::http_error_code(&mut self.http, err)
    }
}

impl types::HostFields for Messages<'_> {
    fn new(&mut self) -> wasmtime::Result<Resource<FieldMap>> {
        types::HostFields::new(&mut self.http)
    }

    fn from_list(&mut self, entries: Vec<(String, Vec<u8>)>) -> HeaderResult<Resource<FieldMap>> {
        let fields = types::HostFields::from_list(&mut self.http, entries)?;
        self.count_fields(&fields).map_err(HeaderError::trap)?;
        Ok(fields)
    }

    fn drop(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<()> {
        self.held.forget(fields.rep());
        types::HostFields::drop(&mut self.http, fields)
    }

    fn get(&mut self, fields: Resource<FieldMap>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        types::HostFields::get(&mut self.http, fields, name)
    }

    fn has(&mut self, fields: Resource<FieldMap>, name: String) -> wasmtime::Result<bool> {
        types::HostFields::has(&mut self.http, fields, name)
    }

    fn set(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> HeaderResult<()> {
        let same = again(&fields);
        types::HostFields::set(&mut self.http, fields, name, values)?;
        self.count_fields(&same).map_err(HeaderError::trap)
    }

    fn delete(&mut self, fields: Resource<FieldMap>, name: String) -> HeaderResult<()> {
        types::HostFields::delete(&mut self.http, fields, name)
    }

    fn append(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        value: Vec<u8>,
    ) -> HeaderResult<()> {
        let same = again(&fields);
        types::HostFields::append(&mut self.http, fields, name, value)?;
        self.count_fields(&same).map_err(HeaderError::trap)
    }

    fn entries(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        types::HostFields::entries(&mut self.http, fields)
    }

    fn clone(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Resource<FieldMap>> {
        let fields = types::HostFields::clone(&mut self.http, fields)?;
        self.count_fields(&fields)?;
        Ok(fields)
    }
}

impl types::HostIncomingRequest for Messages<'_> {
    fn method(&mut self, id: Resource<HostIncomingRequest>) -> wasmtime::Result<Method> {
        types::HostIncomingRequest::method(&mut self.http, id)
    }

    fn path_with_query(
        &mut self,
        id: Resource<HostIncomingRequest>,
    ) -> wasmtime::Result<Option<String>> {
        types::HostIncomingRequest::path_with_query(&mut self.http, id)
    }

    fn scheme(&mut self, id: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<Scheme>> {
        types::HostIncomingRequest::scheme(&mut self.http, id)
    }

    fn authority(&mut self, id: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<String>> {
        types::HostIncomingRequest::authority(&mut self.http, id)
    }

    fn headers(
        &mut self,
        id: Resource<HostIncomingRequest>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        types::HostIncomingRequest::headers(&mut self.http, id)
    }

    fn consume(
        &mut self,
        id: Resource<HostIncomingRequest>,
    ) -> wasmtime::Result<Result<Resource<HostIncomingBody>, ()>> {
        types::HostIncomingRequest::consume(&mut self.http, id)
    }

    fn drop(&mut self, id: Resource<HostIncomingRequest>) -> wasmtime::Result<()> {
        types::HostIncomingRequest::drop(&mut self.http, id)
    }
}

impl types::HostOutgoingRequest for Messages<'_> {
    fn new(
        &mut self,
        headers: Resource<FieldMap>,
    ) -> wasmtime::Result<Resource<HostOutgoingRequest>> {
        let counted = self.held.forget(headers.rep());
        let request = types::HostOutgoingRequest::new(&mut self.http, headers)?;
        self.held.count(request.rep(), counted)?;
        Ok(request)
    }

    fn body(
        &mut self,
        request: Resource<HostOutgoingRequest>,
    ) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
        let piece = request.rep();
        let body = types::HostOutgoingRequest::body(&mut self.http, request)?;
        if body.is_ok() {
            self.held.add(piece, self.held.body)?;
        }
        Ok(body)
    }

    fn drop(&mut self, request: Resource<HostOutgoingRequest>) -> wasmtime::Result<()> {
        self.held.forget(request.rep());
        types::HostOutgoingRequest::drop(&mut self.http, request)
    }

    fn method(&mut self, request: Resource<types::OutgoingRequest>) -> wasmtime::Result<Method> {
        types::HostOutgoingRequest::method(&mut self.http, request)
    }

    fn set_method(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        method: Method,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let types::Method::Other(name) = &method {
            self.held.add(request.rep(), name.len() as u64)?;
        }
        types::HostOutgoingRequest::set_method(&mut self.http, request, method)
    }

    fn path_with_query(
        &mut self,
        request: Resource<types::OutgoingRequest>,
    ) -> wasmtime::Result<Option<String>> {
        types::HostOutgoingRequest::path_with_query(&mut self.http, request)
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        path_with_query: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = path_with_query.as_ref().map_or(0, String::len);
        self.held.add(request.rep(), length as u64)?;
        types::HostOutgoingRequest::set_path_with_query(&mut self.http, request, path_with_query)
    }

    fn scheme(
        &mut self,
        request: Resource<types::OutgoingRequest>,
    ) -> wasmtime::Result<Option<Scheme>> {
        types::HostOutgoingRequest::scheme(&mut self.http, request)
    }

    fn set_scheme(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        scheme: Option<Scheme>,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let Some(types::Scheme::Other(name)) = &scheme {
            self.held.add(request.rep(), name.len() as u64)?;
        }
        types::HostOutgoingRequest::set_scheme(&mut self.http, request, scheme)
    }

    fn authority(
        &mut self,
        request: Resource<types::OutgoingRequest>,
    ) -> wasmtime::Result<Option<String>> {
        types::HostOutgoingRequest::authority(&mut self.http, request)
    }

    fn set_authority(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = authority.as_ref().map_or(0, String::len);
        self.held.add(request.rep(), length as u64)?;
        types::HostOutgoingRequest::set_authority(&mut self.http, request, authority)
    }

    fn headers(
        &mut self,
        request: Resource<types::OutgoingRequest>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostOutgoingRequest::headers(&mut self.http, request)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }
}

impl types::HostResponseOutparam for Messages<'_> {
    fn drop(&mut self, id: Resource<HostResponseOutparam>) -> wasmtime::Result<()> {
        types::HostResponseOutparam::drop(&mut self.http, id)
    }

    fn set(
        &mut self,
        id: Resource<HostResponseOutparam>,
        resp: Result<Resource<HostOutgoingResponse>, types::ErrorCode>,
    ) -> wasmtime::Result<()> {
        if let Ok(response) = &resp {
            self.held.forget(response.rep());
        }
        types::HostResponseOutparam::set(&mut self.http, id, resp)
    }

    fn send_informational(
        &mut self,
        id: Resource<HostResponseOutparam>,
        status: u16,
        headers: Resource<FieldMap>,
    ) -> HttpResult<()> {
        types::HostResponseOutparam::send_informational(&mut self.http, id, status, headers)
    }
}

impl types::HostIncomingResponse for Messages<'_> {
    fn drop(&mut self, response: Resource<HostIncomingResponse>) -> wasmtime::Result<()> {
        self.held.forget(response.rep());
        types::HostIncomingResponse::drop(&mut self.http, response)
    }

    fn status(&mut self, response: Resource<HostIncomingResponse>) -> wasmtime::Result<StatusCode> {
        types::HostIncomingResponse::status(&mut self.http, response)
    }

    fn headers(
        &mut self,
        response: Resource<HostIncomingResponse>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostIncomingResponse::headers(&mut self.http, response)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }

    fn consume(
        &mut self,
        response: Resource<HostIncomingResponse>,
    ) -> wasmtime::Result<Result<Resource<HostIncomingBody>, ()>> {
        types::HostIncomingResponse::consume(&mut self.http, response)
    }
}

impl types::HostFutureTrailers for Messages<'_> {
    fn drop(&mut self, id: Resource<HostFutureTrailers>) -> wasmtime::Result<()> {
        types::HostFutureTrailers::drop(&mut self.http, id)
    }

    fn subscribe(
        &mut self,
        index: Resource<HostFutureTrailers>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        types::HostFutureTrailers::subscribe(&mut self.http, index)
    }

    fn get(
        &mut self,
        id: Resource<HostFutureTrailers>,
    ) -> wasmtime::Result<Option<Result<Result<Option<Resource<Trailers>>, types::ErrorCode>, ()>>>
    {
        let trailers = types::HostFutureTrailers::get(&mut self.http, id)?;
        if let Some(Ok(Ok(Some(fields)))) = &trailers {
            self.count_fields(fields)?;
        }
        Ok(trailers)
    }
}

impl types::HostIncomingBody for Messages<'_> {
    fn stream(
        &mut self,
        id: Resource<HostIncomingBody>,
    ) -> wasmtime::Result<Result<Resource<DynInputStream>, ()>> {
        types::HostIncomingBody::stream(&mut self.http, id)
    }

    fn finish(
        &mut self,
        id: Resource<HostIncomingBody>,
    ) -> wasmtime::Result<Resource<HostFutureTrailers>> {
        types::HostIncomingBody::finish(&mut self.http, id)
    }

    fn drop(&mut self, id: Resource<HostIncomingBody>) -> wasmtime::Result<()> {
        types::HostIncomingBody::drop(&mut self.http, id)
    }
}

impl types::HostOutgoingResponse for Messages<'_> {
    fn new(
        &mut self,
        headers: Resource<FieldMap>,
    ) -> wasmtime::Result<Resource<HostOutgoingResponse>> {
        let counted = self.held.forget(headers.rep());
        let response = types::HostOutgoingResponse::new(&mut self.http, headers)?;
        self.held.count(response.rep(), counted)?;
        Ok(response)
    }

    fn body(
        &mut self,
        id: Resource<HostOutgoingResponse>,
    ) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
        let piece = id.rep();
        let body = types::HostOutgoingResponse::body(&mut self.http, id)?;
        if body.is_ok() {
            self.held.add(piece, self.held.body)?;
        }
        Ok(body)
    }

    fn status_code(
        &mut self,
        id: Resource<HostOutgoingResponse>,
    ) -> wasmtime::Result<types::StatusCode> {
        types::HostOutgoingResponse::status_code(&mut self.http, id)
    }

    fn set_status_code(
        &mut self,
        id: Resource<HostOutgoingResponse>,
        status: types::StatusCode,
    ) -> wasmtime::Result<Result<(), ()>> {
        types::HostOutgoingResponse::set_status_code(&mut self.http, id, status)
    }

    fn headers(
        &mut self,
        id: Resource<HostOutgoingResponse>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostOutgoingResponse::headers(&mut self.http, id)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }

    fn drop(&mut self, id: Resource<HostOutgoingResponse>) -> wasmtime::Result<()> {
        self.held.forget(id.rep());
        types::HostOutgoingResponse::drop(&mut self.http, id)
    }
}

impl types::HostFutureIncomingResponse for Messages<'_> {
    fn drop(&mut self, id: Resource<HostFutureIncomingResponse>) -> wasmtime::Result<()> {
        types::HostFutureIncomingResponse::drop(&mut self.http, id)
    }

    fn get(
        &mut self,
        id: Resource<HostFutureIncomingResponse>,
    ) -> wasmtime::Result<
        Option<Result<Result<Resource<HostIncomingResponse>, types::ErrorCode>, ()>>,
    > {
        let answer = types::HostFutureIncomingResponse::get(&mut self.http, id)?;
        if let Some(Ok(Ok(response))) = &answer {
            let bytes = held::size(&self.http.table.get(response)?.headers);
            self.held.count(response.rep(), bytes)?;
        }
        Ok(answer)
    }

    fn subscribe(
        &mut self,
        id: Resource<HostFutureIncomingResponse>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        types::HostFutureIncomingResponse::subscribe(&mut self.http, id)
    }
}

impl types::HostOutgoingBody for Messages<'_> {
    fn write(
        &mut self,
        id: Resource<HostOutgoingBody>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        types::HostOutgoingBody::write(&mut self.http, id)
    }

    fn finish(
        &mut self,
        id: Resource<HostOutgoingBody>,
        ts: Option<Resource<Trailers>>,
    ) -> HttpResult<()> {
        if let Some(trailers) = &ts {
            // They have their room with the body.
            self.held.forget(trailers.rep());
        }
        types::HostOutgoingBody::finish(&mut self.http, id, ts)
    }

    fn drop(&mut self, id: Resource<HostOutgoingBody>) -> wasmtime::Result<()> {
        types::HostOutgoingBody::drop(&mut self.http, id)
    }
}

impl types::HostRequestOptions for Messages<'_> {
    fn new(&mut self) -> wasmtime::Result<Resource<types::RequestOptions>> {
        types::HostRequestOptions::new(&mut self.http)
    }

    fn connect_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
    ) -> wasmtime::Result<Option<types::Duration>> {
        types::HostRequestOptions::connect_timeout(&mut self.http, opts)
    }

    fn set_connect_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
        duration: Option<types::Duration>,
    ) -> wasmtime::Result<Result<(), ()>> {
        types::HostRequestOptions::set_connect_timeout(&mut self.http, opts, duration)
    }

    fn first_byte_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
    ) -> wasmtime::Result<Option<types::Duration>> {
        types::HostRequestOptions::first_byte_timeout(&mut self.http, opts)
    }

    fn set_first_byte_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
        duration: Option<types::Duration>,
    ) -> wasmtime::Result<Result<(), ()>> {
        types::HostRequestOptions::set_first_byte_timeout(&mut self.http, opts, duration)
    }

    fn between_bytes_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
    ) -> wasmtime::Result<Option<types::Duration>> {
        types::HostRequestOptions::between_bytes_timeout(&mut self.http, opts)
    }

    fn set_between_bytes_timeout(
        &mut self,
        opts: Resource<types::RequestOptions>,
        duration: Option<types::Duration>,
    ) -> wasmtime::Result<Result<(), ()>> {
        types::HostRequestOptions::set_between_bytes_timeout(&mut self.http, opts, duration)
    }

    fn drop(&mut self, rep: Resource<types::RequestOptions>) -> wasmtime::Result<()> {
        types::HostRequestOptions::drop(&mut self.http, rep)
    }
}
