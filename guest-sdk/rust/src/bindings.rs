//! The component's side of the WIT: generated calls, and the exports over the traits. Only
//! [`worker!`](crate::worker) and this crate's own modules use it.

use std::marker::PhantomData;

use crate::web::{Request, Respond, Response};
use crate::{ConnectReason, Failure, Input, Lifecycle, Output, Worker};

pub mod imports {
    wit_bindgen::generate!({ world: "sdk-imports", path: "wit", generate_all });
}

/// A world of its own: the import is in a component only if its code uses it.
pub mod fetch {
    wit_bindgen::generate!({ world: "sdk-fetch", path: "wit", generate_all });
}

pub mod handler {
    wit_bindgen::generate!({
        world: "sdk-handler",
        path: "wit",
        pub_export_macro: true,
        export_macro_name: "export",
    });
}

pub mod web {
    wit_bindgen::generate!({
        world: "sdk-web",
        path: "wit",
        pub_export_macro: true,
        export_macro_name: "export",
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        world: "sdk-lifecycle",
        path: "wit",
        pub_export_macro: true,
        export_macro_name: "export",
    });
}

/// Only this interface: a world with all of `wasi:cli` would need all its WIT files.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub mod exit {
    wit_bindgen::generate!({
        inline: "
            package skep:exit;

            world sdk-exit {
                import wasi:cli/exit@0.2.12;
            }

            package wasi:cli@0.2.12 {
                interface exit {
                    exit: func(status: result);
                    exit-with-code: func(status-code: u8);
                }
            }
        ",
        world: "skep:exit/sdk-exit",
        generate_all,
    });
}

/// The argument of the export macros: adapts the traits to the WIT types.
pub struct Exported<W>(PhantomData<W>);

mod wit {
    pub use super::handler::exports::skep::worker::handler::{Failure, Guest, Input, Output};
    pub use super::lifecycle::exports::skep::worker::lifecycle::{
        ConnectReason, Guest as LifecycleGuest,
    };
    pub use super::web::exports::skep::worker::web::{
        Failure as WebFailure, Guest as WebGuest, Request, Response,
    };
}

impl<W: Worker> wit::Guest for Exported<W> {
    fn handle(input: wit::Input) -> Result<wit::Output, wit::Failure> {
        match W::handle(Input { content_type: input.content_type, body: input.body }) {
            Ok(Output { content_type, body }) => Ok(wit::Output { content_type, body }),
            Err(Failure { code, message }) => Err(wit::Failure { code, message }),
        }
    }
}

impl<W: Respond> wit::WebGuest for Exported<W> {
    fn respond(request: wit::Request) -> Result<wit::Response, wit::WebFailure> {
        let mut taken = Request::new(request.method, request.path_with_query).body(request.body);
        taken.scheme = request.scheme;
        taken.authority = request.authority;
        taken.headers = request.headers;
        match W::respond(taken) {
            Ok(Response { status, headers, body }) => Ok(wit::Response { status, headers, body }),
            Err(Failure { code, message }) => Err(wit::WebFailure { code, message }),
        }
    }
}

impl<W: Lifecycle> wit::LifecycleGuest for Exported<W> {
    fn connected(reason: wit::ConnectReason) {
        W::connected(match reason {
            wit::ConnectReason::Created => ConnectReason::Created,
            wit::ConnectReason::Input => ConnectReason::Input,
            wit::ConnectReason::Restart => ConnectReason::Restart,
            wit::ConnectReason::Update => ConnectReason::Update,
        })
    }

    fn disconnecting() {
        W::disconnecting()
    }
}
