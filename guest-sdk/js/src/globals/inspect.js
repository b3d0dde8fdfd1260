// Values as text for the console, in the style of Node.

const DEEPEST = 2;
const MOST_ITEMS = 100;
const LINE = 72;

/** Formats the arguments of a console call; the first may have `%s`, `%d`, `%j`, `%o` and so on. */
export function format(args) {
  const [first, ...rest] = args;
  if (typeof first !== "string") return args.map(show).join(" ");
  let used = 0;
  const text = first.replace(/%[sdifjoOc%]/g, (mark) => {
    if (mark === "%%") return rest.length ? "%" : mark;
    if (used >= rest.length) return mark;
    const value = rest[used++];
    if (mark === "%c") return "";
    if (mark === "%s") return typeof value === "object" && value !== null ? inspect(value) : String(value);
    if (mark === "%d") return typeof value === "bigint" ? `${value}n` : String(Number(value));
    if (mark === "%i") return String(Math.trunc(Number(value)));
    if (mark === "%f") return String(Number.parseFloat(value));
    return mark === "%j" ? JSON.stringify(value) : inspect(value);
  });
  return [text, ...rest.slice(used).map(show)].join(" ");
}

function show(value) {
  return typeof value === "string" ? value : inspect(value);
}

/** Returns a value as text for people. */
export function inspect(value) {
  return write(value, 0, []);
}

function write(value, depth, above) {
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "function") return describeFunction(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (above.includes(value)) return "[Circular]";
  try {
    return writeObject(value, depth, [...above, value]);
  } catch (error) {
    return `[an object that cannot be shown: ${error?.message}]`;
  }
}

function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : "`";
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return mark + (mark === "`" ? escaped.replaceAll("`", "\\`") : escaped) + mark;
}

function describeFunction(value) {
  const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "Function";
  return `[${kind}${value.name ? (kind === "class" ? " " : ": ") + value.name : " (anonymous)"}]`;
}

function writeObject(value, depth, above) {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Error) return writeError(value, depth, above);
  const name = nameOf(value);
  if (depth > DEEPEST) return Array.isArray(value) ? "[Array]" : `[${name || "Object"}]`;
  const inner = (item) => write(item, depth + 1, above);
  if (Array.isArray(value)) return wrap("[", listOf(value, inner), "]", name === "Array" ? "" : `${name}(${value.length})`);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return wrap("[", listOf(value, inner), "]", `${name}(${value.length})`);
  if (value instanceof ArrayBuffer) return `ArrayBuffer { byteLength: ${value.byteLength} }`;
  if (value instanceof Map) return wrap("{", few([...value].map(([key, item]) => `${inner(key)} => ${inner(item)}`)), "}", `Map(${value.size})`);
  if (value instanceof Set) return wrap("{", few([...value].map(inner)), "}", `Set(${value.size})`);
  return wrap("{", propertiesOf(value, inner), "}", name === "Object" ? "" : name);
}

function nameOf(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null ? "[Object: null prototype]" : (prototype.constructor?.name ?? "");
}

function few(parts) {
  return parts.length <= MOST_ITEMS ? parts : [...parts.slice(0, MOST_ITEMS), `... ${parts.length - MOST_ITEMS} more items`];
}

function listOf(list, inner) {
  const parts = Array.from(list.length > MOST_ITEMS ? list.slice(0, MOST_ITEMS) : list, inner);
  return list.length > MOST_ITEMS ? [...parts, `... ${list.length - MOST_ITEMS} more items`] : parts;
}

function propertiesOf(value, inner) {
  return few(
    Reflect.ownKeys(value)
      .filter((key) => Object.prototype.propertyIsEnumerable.call(value, key))
      .map((key) => {
        const property = Object.getOwnPropertyDescriptor(value, key);
        const shown = "value" in property ? inner(property.value) : property.set ? "[Getter/Setter]" : "[Getter]";
        const name = typeof key === "symbol" ? `[${String(key)}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
        return `${name}: ${shown}`;
      }),
  );
}

function wrap(open, parts, close, name) {
  const start = name ? `${name} ${open}` : open;
  if (parts.length === 0) return start + close;
  const line = `${start} ${parts.join(", ")} ${close}`;
  if (line.length <= LINE && !line.includes("\n")) return line;
  return `${start}\n${parts.map((part) => `  ${part.replaceAll("\n", "\n  ")}`).join(",\n")}\n${close}`;
}

function writeError(error, depth, above) {
  const head = error.message ? `${error.name}: ${error.message}` : String(error.name);
  const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
  const text = stack.startsWith(head) ? stack : stack ? `${head}\n${stack}` : head;
  const extra = propertiesOf(error, (item) => write(item, depth + 1, above)).filter((part) => !part.startsWith("name: "));
  const cause = error.cause === undefined ? "" : `\n  cause: ${write(error.cause, depth + 1, above).replaceAll("\n", "\n  ")}`;
  return text + (extra.length ? ` { ${extra.join(", ")} }` : "") + cause;
}
