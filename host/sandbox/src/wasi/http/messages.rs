//! The host functions of `wasi:http`, with stored messages counted against the budget.

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

use super::budget::{self, MessageBudget};

/// The receiver of the host functions.
pub(super) struct Messages<'a> {
    pub(super) http: WasiHttpCtxView<'a>,
    pub(super) budget: &'a mut MessageBudget,
}

/// Writes trait methods that only forward to the library. The compiler checks each signature against
/// the trait, and rejects a trait method that is neither forwarded nor written out.
macro_rules! forward {
    ($module:ident::$trait:ident: $(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $(fn $name(&mut self $(, $arg: $ty)*) -> $ret {
            $module::$trait::$name(&mut self.http $(, $arg)*)
        })*
    };
}

/// Borrows the same handle again.
fn again(fields: &Resource<FieldMap>) -> Resource<FieldMap> {
    Resource::new_borrow(fields.rep())
}

impl Messages<'_> {
    pub(super) fn count_fields(&mut self, fields: &Resource<FieldMap>) -> wasmtime::Result<()> {
        let bytes = budget::size(self.http.table.get(fields)?);
        Ok(self.budget.count(fields.rep(), bytes)?)
    }
}

impl outgoing_handler::Host for Messages<'_> {
    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<types::RequestOptions>>,
    ) -> HttpResult<Resource<HostFutureIncomingResponse>> {
        // The limits on requests apply from here on.
        self.budget.forget(request.rep());
        outgoing_handler::Host::handle(&mut self.http, request, options)
    }
}

impl types::Host for Messages<'_> {
    forward! { types::Host:
        fn convert_error_code(err: HttpError) -> wasmtime::Result<types::ErrorCode>;
        fn convert_header_error(err: HeaderError) -> wasmtime::Result<types::HeaderError>;
        fn http_error_code(err: Resource<types::IoError>)
            -> wasmtime::Result<Option<types::ErrorCode>>;
    }
}

impl types::HostFields for Messages<'_> {
    forward! { types::HostFields:
        fn new() -> wasmtime::Result<Resource<FieldMap>>;
        fn get(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<Vec<Vec<u8>>>;
        fn has(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<bool>;
        fn delete(fields: Resource<FieldMap>, name: String) -> HeaderResult<()>;
        fn entries(fields: Resource<FieldMap>) -> wasmtime::Result<Vec<(String, Vec<u8>)>>;
    }

    fn from_list(&mut self, entries: Vec<(String, Vec<u8>)>) -> HeaderResult<Resource<FieldMap>> {
        let fields = types::HostFields::from_list(&mut self.http, entries)?;
        self.count_fields(&fields).map_err(HeaderError::trap)?;
        Ok(fields)
    }

    fn drop(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<()> {
        self.budget.forget(fields.rep());
        types::HostFields::drop(&mut self.http, fields)
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

    fn clone(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Resource<FieldMap>> {
        let fields = types::HostFields::clone(&mut self.http, fields)?;
        self.count_fields(&fields)?;
        Ok(fields)
    }
}

impl types::HostIncomingRequest for Messages<'_> {
    forward! { types::HostIncomingRequest:
        fn method(id: Resource<HostIncomingRequest>) -> wasmtime::Result<Method>;
        fn path_with_query(id: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<String>>;
        fn scheme(id: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<Scheme>>;
        fn authority(id: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<String>>;
        fn consume(id: Resource<HostIncomingRequest>)
            -> wasmtime::Result<Result<Resource<HostIncomingBody>, ()>>;
    }

    fn headers(
        &mut self,
        request: Resource<HostIncomingRequest>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostIncomingRequest::headers(&mut self.http, request)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }

    fn drop(&mut self, request: Resource<HostIncomingRequest>) -> wasmtime::Result<()> {
        self.budget.forget(request.rep());
        types::HostIncomingRequest::drop(&mut self.http, request)
    }
}

impl types::HostOutgoingRequest for Messages<'_> {
    forward! { types::HostOutgoingRequest:
        fn method(request: Resource<types::OutgoingRequest>) -> wasmtime::Result<Method>;
        fn path_with_query(request: Resource<types::OutgoingRequest>)
            -> wasmtime::Result<Option<String>>;
        fn scheme(request: Resource<types::OutgoingRequest>) -> wasmtime::Result<Option<Scheme>>;
        fn authority(request: Resource<types::OutgoingRequest>) -> wasmtime::Result<Option<String>>;
    }

    fn new(
        &mut self,
        headers: Resource<FieldMap>,
    ) -> wasmtime::Result<Resource<HostOutgoingRequest>> {
        let counted = self.budget.forget(headers.rep());
        let request = types::HostOutgoingRequest::new(&mut self.http, headers)?;
        self.budget.count(request.rep(), counted)?;
        Ok(request)
    }

    fn body(
        &mut self,
        request: Resource<HostOutgoingRequest>,
    ) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
        let piece = request.rep();
        let body = types::HostOutgoingRequest::body(&mut self.http, request)?;
        if body.is_ok() {
            self.budget.add(piece, self.budget.body)?;
        }
        Ok(body)
    }

    fn drop(&mut self, request: Resource<HostOutgoingRequest>) -> wasmtime::Result<()> {
        self.budget.forget(request.rep());
        types::HostOutgoingRequest::drop(&mut self.http, request)
    }

    fn set_method(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        method: Method,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let types::Method::Other(name) = &method {
            self.budget.add(request.rep(), name.len() as u64)?;
        }
        types::HostOutgoingRequest::set_method(&mut self.http, request, method)
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        path_with_query: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = path_with_query.as_ref().map_or(0, String::len);
        self.budget.add(request.rep(), length as u64)?;
        types::HostOutgoingRequest::set_path_with_query(&mut self.http, request, path_with_query)
    }

    fn set_scheme(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        scheme: Option<Scheme>,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let Some(types::Scheme::Other(name)) = &scheme {
            self.budget.add(request.rep(), name.len() as u64)?;
        }
        types::HostOutgoingRequest::set_scheme(&mut self.http, request, scheme)
    }

    fn set_authority(
        &mut self,
        request: Resource<types::OutgoingRequest>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = authority.as_ref().map_or(0, String::len);
        self.budget.add(request.rep(), length as u64)?;
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
    forward! { types::HostResponseOutparam:
        fn drop(id: Resource<HostResponseOutparam>) -> wasmtime::Result<()>;
    }

    fn send_informational(
        &mut self,
        _id: Resource<HostResponseOutparam>,
        _status: u16,
        headers: Resource<FieldMap>,
    ) -> HttpResult<()> {
        types::HostFields::drop(self, headers).map_err(HttpError::trap)?;
        // The library's own traps.
        let why = "this host sends no informational responses".to_owned();
        Err(types::ErrorCode::InternalError(Some(why)).into())
    }

    fn set(
        &mut self,
        id: Resource<HostResponseOutparam>,
        resp: Result<Resource<HostOutgoingResponse>, types::ErrorCode>,
    ) -> wasmtime::Result<()> {
        if let Ok(response) = &resp {
            self.budget.forget(response.rep());
        }
        types::HostResponseOutparam::set(&mut self.http, id, resp)
    }
}

impl types::HostIncomingResponse for Messages<'_> {
    forward! { types::HostIncomingResponse:
        fn status(response: Resource<HostIncomingResponse>) -> wasmtime::Result<StatusCode>;
        fn consume(response: Resource<HostIncomingResponse>)
            -> wasmtime::Result<Result<Resource<HostIncomingBody>, ()>>;
    }

    fn drop(&mut self, response: Resource<HostIncomingResponse>) -> wasmtime::Result<()> {
        self.budget.forget(response.rep());
        types::HostIncomingResponse::drop(&mut self.http, response)
    }

    fn headers(
        &mut self,
        response: Resource<HostIncomingResponse>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostIncomingResponse::headers(&mut self.http, response)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }
}

impl types::HostFutureTrailers for Messages<'_> {
    forward! { types::HostFutureTrailers:
        fn drop(id: Resource<HostFutureTrailers>) -> wasmtime::Result<()>;
        fn subscribe(index: Resource<HostFutureTrailers>)
            -> wasmtime::Result<Resource<DynPollable>>;
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
    forward! { types::HostIncomingBody:
        fn stream(id: Resource<HostIncomingBody>)
            -> wasmtime::Result<Result<Resource<DynInputStream>, ()>>;
        fn finish(id: Resource<HostIncomingBody>) -> wasmtime::Result<Resource<HostFutureTrailers>>;
        fn drop(id: Resource<HostIncomingBody>) -> wasmtime::Result<()>;
    }
}

impl types::HostOutgoingResponse for Messages<'_> {
    forward! { types::HostOutgoingResponse:
        fn status_code(id: Resource<HostOutgoingResponse>) -> wasmtime::Result<types::StatusCode>;
        fn set_status_code(id: Resource<HostOutgoingResponse>, status: types::StatusCode)
            -> wasmtime::Result<Result<(), ()>>;
    }

    fn new(
        &mut self,
        headers: Resource<FieldMap>,
    ) -> wasmtime::Result<Resource<HostOutgoingResponse>> {
        let counted = self.budget.forget(headers.rep());
        let response = types::HostOutgoingResponse::new(&mut self.http, headers)?;
        self.budget.count(response.rep(), counted)?;
        Ok(response)
    }

    fn body(
        &mut self,
        id: Resource<HostOutgoingResponse>,
    ) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
        let piece = id.rep();
        let body = types::HostOutgoingResponse::body(&mut self.http, id)?;
        if body.is_ok() {
            self.budget.add(piece, self.budget.body)?;
        }
        Ok(body)
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
        self.budget.forget(id.rep());
        types::HostOutgoingResponse::drop(&mut self.http, id)
    }
}

impl types::HostFutureIncomingResponse for Messages<'_> {
    forward! { types::HostFutureIncomingResponse:
        fn drop(id: Resource<HostFutureIncomingResponse>) -> wasmtime::Result<()>;
        fn subscribe(id: Resource<HostFutureIncomingResponse>)
            -> wasmtime::Result<Resource<DynPollable>>;
    }

    fn get(
        &mut self,
        id: Resource<HostFutureIncomingResponse>,
    ) -> wasmtime::Result<
        Option<Result<Result<Resource<HostIncomingResponse>, types::ErrorCode>, ()>>,
    > {
        let received = types::HostFutureIncomingResponse::get(&mut self.http, id)?;
        if let Some(Ok(Ok(response))) = &received {
            let bytes = budget::size(&self.http.table.get(response)?.headers);
            self.budget.count(response.rep(), bytes)?;
        }
        Ok(received)
    }
}

impl types::HostOutgoingBody for Messages<'_> {
    forward! { types::HostOutgoingBody:
        fn write(id: Resource<HostOutgoingBody>)
            -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>>;
        fn drop(id: Resource<HostOutgoingBody>) -> wasmtime::Result<()>;
    }

    fn finish(
        &mut self,
        id: Resource<HostOutgoingBody>,
        ts: Option<Resource<Trailers>>,
    ) -> HttpResult<()> {
        if let Some(trailers) = &ts {
            // The body's size includes its trailers.
            self.budget.forget(trailers.rep());
        }
        types::HostOutgoingBody::finish(&mut self.http, id, ts)
    }
}

impl types::HostRequestOptions for Messages<'_> {
    forward! { types::HostRequestOptions:
        fn new() -> wasmtime::Result<Resource<types::RequestOptions>>;
        fn connect_timeout(opts: Resource<types::RequestOptions>)
            -> wasmtime::Result<Option<types::Duration>>;
        fn set_connect_timeout(opts: Resource<types::RequestOptions>, duration: Option<types::Duration>)
            -> wasmtime::Result<Result<(), ()>>;
        fn first_byte_timeout(opts: Resource<types::RequestOptions>)
            -> wasmtime::Result<Option<types::Duration>>;
        fn set_first_byte_timeout(opts: Resource<types::RequestOptions>, duration: Option<types::Duration>)
            -> wasmtime::Result<Result<(), ()>>;
        fn between_bytes_timeout(opts: Resource<types::RequestOptions>)
            -> wasmtime::Result<Option<types::Duration>>;
        fn set_between_bytes_timeout(opts: Resource<types::RequestOptions>, duration: Option<types::Duration>)
            -> wasmtime::Result<Result<(), ()>>;
        fn drop(rep: Resource<types::RequestOptions>) -> wasmtime::Result<()>;
    }
}
