"""A guest book over HTTP: `GET /?name=Ada` greets, `POST /book` adds a line, `GET /book` shows all."""

from skep_guest import Failure, Request, Response, state, web

LINES = "line/"
"""The beginning of the keys of the lines, which are numbered from 1."""

LINE_LENGTH = 1_000
"""The most characters of a line."""


@web
def respond(request: Request) -> Response | str:
    match request.method, request.path:
        case "GET" | "HEAD", "/":
            return f"hello, {request.query.get('name', 'guest')}\n"
        case "GET" | "HEAD", "/book":
            return "".join(f"{state.get_text(key)}\n" for key in state.keys(LINES))
        case "POST", "/book":
            return add(request)
        case _, "/" | "/book":
            return Response("this method is not for this page\n", status=405)
        case _:
            return Response("there is nothing here\n", status=404)


def add(request: Request) -> Response:
    try:
        line = request.text().strip()
    except Failure:
        line = ""
    if not line.isprintable() or not 0 < len(line) <= LINE_LENGTH:
        return Response("a line is short text\n", status=400)
    number = sum(1 for _ in state.keys(LINES)) + 1
    state.set(f"{LINES}{number:06}", line)
    return Response(f"line {number}\n", status=201)
