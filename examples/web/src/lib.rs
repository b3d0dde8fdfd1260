//! A guest book over HTTP: `GET /?name=Ada` greets, `POST /book` adds a line, `GET /book` shows all.

use skep_guest::web::{Request, Response};
use skep_guest::{Failure, state};

/// The beginning of the keys of the lines, which are numbered from 1.
const LINES: &str = "line/";

/// Maximum bytes of a line.
const LINE_BYTES: usize = 1_000;

#[skep_guest::web]
fn respond(request: Request) -> Result<Response, Failure> {
    match (request.method.as_str(), request.path()) {
        ("GET" | "HEAD", "/") => Ok(greet(&request)),
        ("GET" | "HEAD", "/book") => show(),
        ("POST", "/book") => add(&request),
        (_, "/" | "/book") => Ok(Response::text("this method is not for this page\n").status(405)),
        _ => Ok(Response::text("there is nothing here\n").status(404)),
    }
}

fn greet(request: &Request) -> Response {
    let name = request.query_pairs().into_iter().find(|(key, _)| key == "name");
    let name = name.map_or_else(|| "guest".to_owned(), |(_, name)| name);
    Response::text(format!("hello, {name}\n"))
}

fn show() -> Result<Response, Failure> {
    let mut book = String::new();
    for key in state::list(LINES) {
        book += &state::get_string(&key?)?.unwrap_or_default();
        book.push('\n');
    }
    Ok(Response::text(book))
}

fn add(request: &Request) -> Result<Response, Failure> {
    let line = match request.text() {
        Ok(line) if line.len() <= LINE_BYTES => line.trim(),
        _ => return Ok(Response::text("a line is short text\n").status(400)),
    };
    if line.is_empty() || line.contains(char::is_control) {
        return Ok(Response::text("the line is empty, or has a control character\n").status(400));
    }
    let number = state::list(LINES).count() + 1;
    state::set(&format!("{LINES}{number:06}"), line)?;
    Ok(Response::text(format!("line {number}\n")).status(201))
}

#[cfg(test)]
mod tests {
    use skep_guest::testing;

    use super::*;

    fn ask(request: Request) -> (u16, String) {
        let response = testing::respond(respond, request).expect("the book answers");
        (response.status, String::from_utf8(response.body).expect("it is text"))
    }

    #[test]
    fn it_greets_by_the_name_in_the_query() {
        assert_eq!(ask(Request::get("/")).1, "hello, guest\n");
        assert_eq!(ask(Request::get("/?a=b&name=Ada+%F0%9F%90%9D")).1, "hello, Ada 🐝\n");
    }

    #[test]
    fn the_book_has_the_lines_in_order() {
        assert_eq!(ask(Request::get("/book")), (200, String::new()));
        assert_eq!(ask(Request::post("/book", "Ada was here")), (201, "line 1\n".to_owned()));
        assert_eq!(ask(Request::post("/book", "and Bo\n")), (201, "line 2\n".to_owned()));
        assert_eq!(ask(Request::get("/book")).1, "Ada was here\nand Bo\n");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for body in [&b""[..], b" \n", b"two\nlines", b"\xff", &[b'x'; LINE_BYTES + 1]] {
            assert_eq!(ask(Request::post("/book", body)).0, 400);
        }
        assert_eq!(ask(Request::new("DELETE", "/book")).0, 405);
        assert_eq!(ask(Request::get("/other")).0, 404);
        assert!(testing::state().is_empty());
    }
}
