// A guest book over HTTP: `GET /?name=Ada` greets, `POST /book` adds a line, `GET /book` shows all.
import { state } from "@skep/guest";

/** The beginning of the keys of the lines, which are numbered from 1. */
const LINES = "line/";

/** Most characters of a line. */
const LINE_LENGTH = 1_000;

function text(body, status = 200) {
  return new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

function show() {
  return text([...state.keys(LINES)].map((key) => `${state.getText(key)}\n`).join(""));
}

async function add(request) {
  const line = (await request.text()).trim();
  if (line === "" || line.length > LINE_LENGTH || /[\p{Cc}\ufffd]/u.test(line)) return text("a line is short text\n", 400);
  const number = [...state.keys(LINES)].length + 1;
  state.set(`${LINES}${String(number).padStart(6, "0")}`, line);
  return text(`line ${number}\n`, 201);
}

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const reads = ["GET", "HEAD"].includes(request.method);
    if (pathname === "/" && reads) return text(`hello, ${searchParams.get("name") ?? "guest"}\n`);
    if (pathname === "/book" && reads) return show();
    if (pathname === "/book" && request.method === "POST") return add(request);
    if (["/", "/book"].includes(pathname)) return text("this method is not for this page\n", 405);
    return text("there is nothing here\n", 404);
  },
};
