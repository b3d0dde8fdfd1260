"""Does what the path says, `/COMMAND/ARGUMENT`, for the tests that compare the guest SDKs. The guests of
all languages behave alike."""

import asyncio

from skep_guest import Failure, Request, Response, config, context, state, transcript, web

handled = 0


@web
async def respond(request: Request) -> Response | str:
    global handled
    handled += 1
    command, _, argument = request.path.removeprefix("/").partition("/")
    match command:
        case "hello":
            return "hello\n"
        case "echo":
            return Response(request.body, content_type=request.header("content-type"))
        case "target":
            return f"{request.method} {request.scheme} {request.authority} {request.path_with_query}\n"
        case "header-of":
            return request.header(argument) or ""
        case "query":
            return request.query.get(argument, "")
        case "count":
            return f"{handled}\n"
        case "status":
            return Response("as you wish\n", status=int(argument))
        case "header":
            return Response("set\n", headers={argument: request.text()})
        case "bytes":
            return Response(bytes(int(argument)))
        case "fail":
            raise Failure("asked", f"the guest's own words: {argument}")
        case "throw":
            raise TypeError(argument)
        case "sleep":
            await asyncio.sleep(int(argument) / 1000)
            return "awake\n"
        case "spin":
            while True:
                pass
        case "add":
            return f"{add(argument)}\n"
        case "add-and-fail":
            add(argument)
            raise Failure("asked", "after the change")
        case "get":
            return state.get_text(argument, "")
        case "config":
            return config.get(argument, "")
        case "context":
            return f"{context.input_id() or '-'}\n"
        case "emit":
            transcript.emit("visited", argument)
            return "emitted\n"
        case _:
            return Response("no such command\n", status=404)


def add(key: str) -> int:
    number = int(state.get_text(key, "0")) + 1
    state.set(key, str(number))
    return number
