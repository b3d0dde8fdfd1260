//! Routes: method, path, handler and documentation. The router and the OpenAPI document are built
//! from the same list, so they cannot differ.

use axum::Json;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use skep_protocol::{Problem, Role};

use crate::app::App;
use crate::events::PROBLEM;

/// A function that generates the JSON schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The content of a body.
#[derive(Clone)]
pub(crate) enum BodySchema {
    /// No body.
    Empty,
    /// JSON with this schema.
    Json(SchemaOf),
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Server-sent events: their names, with the schema of their JSON data.
    Events(Vec<(&'static str, SchemaOf)>),
}

/// Describes a JSON body of type `T`.
pub(crate) fn json<T: JsonSchema>() -> BodySchema {
    BodySchema::Json(|generator| generator.subschema_for::<T>())
}

/// Describes a server-sent event of this name, with data of type `T`.
pub(crate) fn named<T: JsonSchema>(name: &'static str) -> (&'static str, SchemaOf) {
    (name, |generator| generator.subschema_for::<T>())
}

/// Describes a stream of these events, and of the problem that may end it.
pub(crate) fn events<const N: usize>(all: [(&'static str, SchemaOf); N]) -> BodySchema {
    BodySchema::Events(all.into_iter().chain([named::<Problem>(PROBLEM)]).collect())
}

/// The word for any method.
const ANY: &str = "*";

/// Methods that the document has for any.
const LISTED: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// OpenAPI's word for query parameters.
const QUERY: &str = "query";

/// A parameter in the query or a header.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) location: &'static str,
    pub(crate) shape: SchemaOf,
    pub(crate) description: &'static str,
}

/// A route with its documentation.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) handler: MethodRouter<App>,
    /// Operation id in the document.
    pub(crate) id: &'static str,
    pub(crate) description: &'static str,
    /// More than fits in one sentence.
    pub(crate) notes: Option<&'static str>,
    /// True if it needs no login.
    pub(crate) open: bool,
    /// Least role that may use it, as the registry decides; none if it is open.
    pub(crate) role: Option<Role>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) request: BodySchema,
    pub(crate) answers: Vec<(u16, &'static str, BodySchema)>,
    /// Statuses of its problems.
    pub(crate) problems: Vec<u16>,
    /// True if it is not in the document.
    pub(crate) hidden: bool,
}

impl Route {
    fn new<H: Handler<T, App>, T: 'static>(
        (method, filter): (&'static str, MethodFilter),
        path: &str,
        (id, description): (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            handler: on(filter, handler),
            id,
            description,
            notes: None,
            open: false,
            role: Some(if method == "GET" { Role::Viewer } else { Role::Operator }),
            parameters: Vec::new(),
            request: BodySchema::Empty,
            answers: Vec::new(),
            problems: vec![400, 401, 403, 414, 421, 429, 431, 500, 503],
            hidden: false,
        }
    }

    pub(crate) fn get<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("GET", MethodFilter::GET), path, named, handler)
    }

    /// Creates a route that changes something. Its body may be too large, too slow or of the wrong
    /// type.
    fn change<H: Handler<T, App>, T: 'static>(
        filter: (&'static str, MethodFilter),
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(filter, path, named, handler).refuses(&[408, 409, 413, 415, 507])
    }

    pub(crate) fn post<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("POST", MethodFilter::POST), path, named, handler)
    }

    pub(crate) fn put<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("PUT", MethodFilter::PUT), path, named, handler)
    }

    pub(crate) fn patch<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("PATCH", MethodFilter::PATCH), path, named, handler)
    }

    pub(crate) fn delete<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("DELETE", MethodFilter::DELETE), path, named, handler)
    }

    /// Creates a route of any method, which passes requests on. Its handler checks what comes with
    /// them.
    pub(crate) fn any<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        let route = Self::new((ANY, MethodFilter::GET), path, named, handler.clone());
        Self { handler: any(handler), ..route }
    }

    /// Returns true for a route of any method.
    pub(crate) fn is_any(&self) -> bool {
        self.method == ANY
    }

    /// Returns the methods in the document, each with the id of its operation.
    pub(crate) fn operations(&self) -> Vec<(&'static str, String)> {
        if !self.is_any() {
            return vec![(self.method, self.id.to_owned())];
        }
        let id = |method: &str| {
            let (first, rest) = method.split_at(1);
            format!("{}{first}{}", self.id, rest.to_lowercase())
        };
        LISTED.iter().map(|method| (*method, id(method))).collect()
    }

    /// Describes it at length.
    pub(crate) fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    /// Marks the route as public.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self.role = None;
        self.problems.retain(|status| !matches!(status, 401 | 403 | 429 | 503));
        self
    }

    /// Documents another role than the usual one: viewer for reads, operator for changes.
    pub(crate) fn needs(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Hides the route from the document.
    pub(crate) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Sets the request body.
    pub(crate) fn takes(mut self, request: BodySchema) -> Self {
        self.request = request;
        self
    }

    /// Adds a response.
    pub(crate) fn answers(
        mut self,
        status: u16,
        description: &'static str,
        content: BodySchema,
    ) -> Self {
        self.answers.push((status, description, content));
        self
    }

    /// Adds statuses of problems.
    pub(crate) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self.problems.sort_unstable();
        self.problems.dedup();
        self
    }

    /// Adds a query parameter.
    pub(crate) fn query<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.parameter::<T>(name, QUERY, description)
    }

    /// Adds a request header.
    pub(crate) fn header<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.parameter::<T>(name, "header", description)
    }

    fn parameter<T: JsonSchema>(
        mut self,
        name: &'static str,
        location: &'static str,
        description: &'static str,
    ) -> Self {
        let shape: SchemaOf = |generator| generator.subschema_for::<T>();
        self.parameters.push(Parameter { name, location, shape, description });
        self
    }

    /// Returns the names of the query parameters.
    pub(crate) fn in_query(&self) -> Vec<&'static str> {
        let in_query = self.parameters.iter().filter(|parameter| parameter.location == QUERY);
        in_query.map(|parameter| parameter.name).collect()
    }

    /// Prepends a prefix to the path.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        self.path.insert_str(0, prefix);
        self
    }
}

/// Converts a stored item to a response: 201 if it is new, 200 if it existed.
pub(crate) fn stored<T>(stored: skep_protocol::Stored<T>) -> (axum::http::StatusCode, Json<T>) {
    let status = if stored.created { 201 } else { 200 };
    let status = axum::http::StatusCode::from_u16(status).expect("200 and 201 are valid statuses");
    (status, Json(stored.item))
}
