//! The attribute `#[skep_guest::web]`. Use it by that name; the SDK documents it.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// The code that follows the function. `__handler` stands for its name.
const EXPORT: &str = "
    const _: () = {
        struct Site;

        impl ::skep_guest::web::Respond for Site {
            fn respond(
                request: ::skep_guest::web::Request,
            ) -> ::core::result::Result<::skep_guest::web::Response, ::skep_guest::Failure> {
                ::skep_guest::web::answer(__handler, request)
            }
        }

        ::skep_guest::__export_web!(Site);
    };
";

/// Exports a function as the HTTP worker of this component. Use it once per crate, in a `cdylib`.
///
/// The function takes a [`Request`](../skep_guest/web/struct.Request.html) and returns a
/// `Result<Response, E>`, where `E` becomes a `Failure`. On non-wasm targets the attribute only
/// checks that.
///
/// ```ignore
/// use skep_guest::Failure;
/// use skep_guest::web::{Request, Response};
///
/// #[skep_guest::web]
/// fn respond(request: Request) -> Result<Response, Failure> {
///     match request.path() {
///         "/" => Ok(Response::text("hello")),
///         _ => Ok(Response::text("there is nothing here").status(404)),
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn web(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let checked = match arguments.into_iter().next() {
        Some(argument) => Err((argument.span(), "`web` takes no arguments")),
        None => name_of(item.clone()),
    };
    match checked {
        Ok(name) => {
            let export: TokenStream = EXPORT.parse().expect("the text above is Rust");
            let mut all = item;
            all.extend(named(export, &name));
            all
        }
        Err((span, why)) => {
            let mut all = item;
            all.extend(compile_error(span, why));
            all
        }
    }
}

/// Returns the name of a function, with its place in the source.
fn name_of(item: TokenStream) -> Result<Ident, (Span, &'static str)> {
    let wanted = "`web` is for a function: `fn respond(request: Request) -> Result<Response, _>`";
    let mut tokens = item.into_iter();
    while let Some(token) = tokens.next() {
        let TokenTree::Ident(word) = token else { continue };
        match (word.to_string().as_str(), tokens.next()) {
            ("fn", Some(TokenTree::Ident(name))) => return Ok(name),
            ("async", _) => return Err((word.span(), "the function cannot be async")),
            ("struct" | "enum" | "impl" | "trait" | "mod" | "const" | "static", _) => {
                return Err((word.span(), wanted));
            }
            _ => {}
        }
    }
    Err((Span::call_site(), wanted))
}

/// Puts a name in the place of `__handler`, so that errors in its type point at the function.
fn named(tokens: TokenStream, name: &Ident) -> TokenStream {
    let put = |token| match token {
        TokenTree::Ident(word) if word.to_string() == "__handler" => name.clone().into(),
        TokenTree::Group(group) => {
            let mut same = Group::new(group.delimiter(), named(group.stream(), name));
            same.set_span(group.span());
            same.into()
        }
        other => other,
    };
    tokens.into_iter().map(put).collect()
}

fn compile_error(span: Span, why: &str) -> TokenStream {
    let error: TokenStream = format!("::core::compile_error!({why:?});").parse().expect("Rust");
    let place = |token| {
        let mut token: TokenTree = match token {
            TokenTree::Group(group) => Group::new(Delimiter::Parenthesis, group.stream()).into(),
            other => other,
        };
        token.set_span(span);
        token
    };
    error.into_iter().map(place).collect()
}
