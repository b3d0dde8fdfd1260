//! The host functions of `wasi:http` of 0.3, with stored messages counted against the same budget as
//! those of 0.2. Requests take the same way out.
//!
//! The body of an unsent message is a stream of the guest, of which the host holds nothing.

use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::bindings::http::types::{
    self, Duration, ErrorCode, Method, Scheme, StatusCode, Trailers,
};
use wasmtime_wasi_http::p3::{MaybeMutable, Request, Response};
use wasmtime_wasi_http::{FieldMap, RequestOptions, WasiHttp};

use super::budget;
use super::messages::Messages;
use super::{HasHttp, library};
use crate::wasi::world::World;

type HttpError = TrappableError<ErrorCode>;
type HeaderError = TrappableError<types::HeaderError>;
type OptionsError = TrappableError<types::RequestOptionsError>;
type Options = MaybeMutable<RequestOptions>;

/// The end of a body, for the guest.
type Sent = FutureReader<Result<(), ErrorCode>>;

/// The trailers of a body.
type TrailersReader = FutureReader<Result<Option<Resource<Trailers>>, ErrorCode>>;

/// The interface of requests of 0.3.
const CLIENT: &str = "wasi:http/client";

/// Writes trait methods that only forward to the library.
macro_rules! forward {
    ($module:ident::$trait:ident: $(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $(fn $name(&mut self $(, $arg: $ty)*) -> $ret {
            $module::$trait::$name(&mut self.http $(, $arg)*)
        })*
    };
}

/// Gives the store to the library's own implementation.
fn of_library<'a>(store: &'a mut Access<'_, World, HasHttp>) -> Access<'a, World, WasiHttp> {
    Access::<World, WasiHttp>::new(store.as_context_mut(), library)
}

impl client::Host for Messages<'_> {}

impl client::HostWithStore<World> for HasHttp {
    async fn send(
        accessor: &Accessor<World, Self>,
        request: Resource<Request>,
    ) -> Result<Resource<Response>, HttpError> {
        accessor.with(|mut store| {
            let messages = store.get();
            // The limits on requests apply from here on.
            messages.budget.forget(request.rep());
            store.data_mut().http.caller.interface = CLIENT;
        });
        let library = accessor.with_getter::<WasiHttp>(library);
        let response = <WasiHttp as client::HostWithStore<World>>::send(&library, request).await?;
        accessor.with(|mut store| {
            let messages = store.get();
            let received = messages.http.table.get(&response).map_err(HttpError::trap)?;
            let bytes = budget::size(&received.headers);
            messages.budget.count(response.rep(), bytes).map_err(HttpError::trap)
        })?;
        Ok(response)
    }
}

impl types::Host for Messages<'_> {
    forward! { types::Host:
        fn convert_error_code(error: HttpError) -> wasmtime::Result<ErrorCode>;
        fn convert_header_error(error: HeaderError) -> wasmtime::Result<types::HeaderError>;
        fn convert_request_options_error(error: OptionsError)
            -> wasmtime::Result<types::RequestOptionsError>;
    }
}

impl types::HostFields for Messages<'_> {
    forward! { types::HostFields:
        fn new() -> wasmtime::Result<Resource<FieldMap>>;
        fn get(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<Vec<Vec<u8>>>;
        fn has(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<bool>;
        fn delete(fields: Resource<FieldMap>, name: String) -> Result<(), HeaderError>;
        fn get_and_delete(fields: Resource<FieldMap>, name: String)
            -> Result<Vec<Vec<u8>>, HeaderError>;
        fn copy_all(fields: Resource<FieldMap>) -> wasmtime::Result<Vec<(String, Vec<u8>)>>;
    }

    fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<Resource<FieldMap>, HeaderError> {
        let fields = types::HostFields::from_list(&mut self.http, entries)?;
        self.count_fields(&fields).map_err(HeaderError::trap)?;
        Ok(fields)
    }

    fn set(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> Result<(), HeaderError> {
        let same = Resource::new_borrow(fields.rep());
        types::HostFields::set(&mut self.http, fields, name, values)?;
        self.count_fields(&same).map_err(HeaderError::trap)
    }

    fn append(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        value: Vec<u8>,
    ) -> Result<(), HeaderError> {
        let same = Resource::new_borrow(fields.rep());
        types::HostFields::append(&mut self.http, fields, name, value)?;
        self.count_fields(&same).map_err(HeaderError::trap)
    }

    fn clone(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Resource<FieldMap>> {
        let fields = types::HostFields::clone(&mut self.http, fields)?;
        self.count_fields(&fields)?;
        Ok(fields)
    }

    fn drop(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<()> {
        self.budget.forget(fields.rep());
        types::HostFields::drop(&mut self.http, fields)
    }
}

impl types::HostRequestWithStore<World> for HasHttp {
    fn new(
        mut store: Access<'_, World, Self>,
        headers: Resource<FieldMap>,
        contents: Option<StreamReader<u8>>,
        trailers: TrailersReader,
        options: Option<Resource<Options>>,
    ) -> wasmtime::Result<(Resource<Request>, Sent)> {
        let counted = store.get().budget.forget(headers.rep());
        let made = <WasiHttp as types::HostRequestWithStore<World>>::new(
            of_library(&mut store),
            headers,
            contents,
            trailers,
            options,
        )?;
        store.get().budget.count(made.0.rep(), counted)?;
        Ok(made)
    }

    fn consume_body(
        mut store: Access<'_, World, Self>,
        request: Resource<Request>,
        result: Sent,
    ) -> wasmtime::Result<(StreamReader<u8>, TrailersReader)> {
        store.get().budget.forget(request.rep());
        let store = of_library(&mut store);
        <WasiHttp as types::HostRequestWithStore<World>>::consume_body(store, request, result)
    }

    fn drop(
        mut store: Access<'_, World, Self>,
        request: Resource<Request>,
    ) -> wasmtime::Result<()> {
        store.get().budget.forget(request.rep());
        <WasiHttp as types::HostRequestWithStore<World>>::drop(of_library(&mut store), request)
    }
}

impl types::HostRequest for Messages<'_> {
    forward! { types::HostRequest:
        fn get_method(request: Resource<Request>) -> wasmtime::Result<Method>;
        fn get_path_with_query(request: Resource<Request>) -> wasmtime::Result<Option<String>>;
        fn get_scheme(request: Resource<Request>) -> wasmtime::Result<Option<Scheme>>;
        fn get_authority(request: Resource<Request>) -> wasmtime::Result<Option<String>>;
        fn get_options(request: Resource<Request>) -> wasmtime::Result<Option<Resource<Options>>>;
    }

    fn set_method(
        &mut self,
        request: Resource<Request>,
        method: Method,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let Method::Other(name) = &method {
            self.budget.add(request.rep(), name.len() as u64)?;
        }
        types::HostRequest::set_method(&mut self.http, request, method)
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<Request>,
        path: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = path.as_ref().map_or(0, String::len);
        self.budget.add(request.rep(), length as u64)?;
        types::HostRequest::set_path_with_query(&mut self.http, request, path)
    }

    fn set_scheme(
        &mut self,
        request: Resource<Request>,
        scheme: Option<Scheme>,
    ) -> wasmtime::Result<Result<(), ()>> {
        if let Some(Scheme::Other(name)) = &scheme {
            self.budget.add(request.rep(), name.len() as u64)?;
        }
        types::HostRequest::set_scheme(&mut self.http, request, scheme)
    }

    fn set_authority(
        &mut self,
        request: Resource<Request>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let length = authority.as_ref().map_or(0, String::len);
        self.budget.add(request.rep(), length as u64)?;
        types::HostRequest::set_authority(&mut self.http, request, authority)
    }

    fn get_headers(&mut self, request: Resource<Request>) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostRequest::get_headers(&mut self.http, request)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }
}

impl types::HostRequestOptions for Messages<'_> {
    forward! { types::HostRequestOptions:
        fn new() -> wasmtime::Result<Resource<Options>>;
        fn get_connect_timeout(options: Resource<Options>) -> wasmtime::Result<Option<Duration>>;
        fn set_connect_timeout(options: Resource<Options>, duration: Option<Duration>)
            -> Result<(), OptionsError>;
        fn get_first_byte_timeout(options: Resource<Options>)
            -> wasmtime::Result<Option<Duration>>;
        fn set_first_byte_timeout(options: Resource<Options>, duration: Option<Duration>)
            -> Result<(), OptionsError>;
        fn get_between_bytes_timeout(options: Resource<Options>)
            -> wasmtime::Result<Option<Duration>>;
        fn set_between_bytes_timeout(options: Resource<Options>, duration: Option<Duration>)
            -> Result<(), OptionsError>;
        fn clone(options: Resource<Options>) -> wasmtime::Result<Resource<Options>>;
        fn drop(options: Resource<Options>) -> wasmtime::Result<()>;
    }
}

impl types::HostResponseWithStore<World> for HasHttp {
    fn new(
        mut store: Access<'_, World, Self>,
        headers: Resource<FieldMap>,
        contents: Option<StreamReader<u8>>,
        trailers: TrailersReader,
    ) -> wasmtime::Result<(Resource<Response>, Sent)> {
        let counted = store.get().budget.forget(headers.rep());
        let made = <WasiHttp as types::HostResponseWithStore<World>>::new(
            of_library(&mut store),
            headers,
            contents,
            trailers,
        )?;
        store.get().budget.count(made.0.rep(), counted)?;
        Ok(made)
    }

    fn consume_body(
        mut store: Access<'_, World, Self>,
        response: Resource<Response>,
        result: Sent,
    ) -> wasmtime::Result<(StreamReader<u8>, TrailersReader)> {
        store.get().budget.forget(response.rep());
        let store = of_library(&mut store);
        <WasiHttp as types::HostResponseWithStore<World>>::consume_body(store, response, result)
    }

    fn drop(
        mut store: Access<'_, World, Self>,
        response: Resource<Response>,
    ) -> wasmtime::Result<()> {
        store.get().budget.forget(response.rep());
        <WasiHttp as types::HostResponseWithStore<World>>::drop(of_library(&mut store), response)
    }
}

impl types::HostResponse for Messages<'_> {
    forward! { types::HostResponse:
        fn get_status_code(response: Resource<Response>) -> wasmtime::Result<StatusCode>;
        fn set_status_code(response: Resource<Response>, status: StatusCode)
            -> wasmtime::Result<Result<(), ()>>;
    }

    fn get_headers(
        &mut self,
        response: Resource<Response>,
    ) -> wasmtime::Result<Resource<FieldMap>> {
        let headers = types::HostResponse::get_headers(&mut self.http, response)?;
        self.count_fields(&headers)?;
        Ok(headers)
    }
}
