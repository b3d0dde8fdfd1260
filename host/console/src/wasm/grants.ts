// The interfaces that Skep offers, and the grants that some of them need. The table is a copy of
// the runtime's (host/sandbox/src/preflight/interfaces.rs); a unit test compares the two.

/** The grant that an interface needs before its calls have an effect. */
export type Need = "none" | "directory" | "http" | "sockets";

const WASI = "0.2.12";
const SKEP = "0.1.0";

/** Offered interfaces: name, version, need. The newer version of a name comes first. */
export const OFFERS: readonly (readonly [string, string, Need])[] = [
  ["wasi:cli/environment", WASI, "none"],
  ["wasi:cli/exit", WASI, "none"],
  ["wasi:cli/stdin", WASI, "none"],
  ["wasi:cli/stdout", WASI, "none"],
  ["wasi:cli/stderr", WASI, "none"],
  ["wasi:cli/terminal-input", WASI, "none"],
  ["wasi:cli/terminal-output", WASI, "none"],
  ["wasi:cli/terminal-stdin", WASI, "none"],
  ["wasi:cli/terminal-stdout", WASI, "none"],
  ["wasi:cli/terminal-stderr", WASI, "none"],
  ["wasi:clocks/monotonic-clock", WASI, "none"],
  ["wasi:clocks/wall-clock", WASI, "none"],
  ["wasi:config/store", "0.2.0-rc.1", "none"],
  ["wasi:config/store", "0.2.0-draft", "none"],
  ["wasi:filesystem/preopens", WASI, "directory"],
  ["wasi:filesystem/types", WASI, "directory"],
  ["wasi:http/outgoing-handler", WASI, "http"],
  ["wasi:http/types", WASI, "none"],
  ["wasi:io/error", WASI, "none"],
  ["wasi:io/poll", WASI, "none"],
  ["wasi:io/streams", WASI, "none"],
  ["wasi:random/insecure", WASI, "none"],
  ["wasi:random/insecure-seed", WASI, "none"],
  ["wasi:random/random", WASI, "none"],
  ["wasi:sockets/instance-network", WASI, "sockets"],
  ["wasi:sockets/ip-name-lookup", WASI, "sockets"],
  ["wasi:sockets/network", WASI, "sockets"],
  ["wasi:sockets/tcp", WASI, "sockets"],
  ["wasi:sockets/tcp-create-socket", WASI, "sockets"],
  ["wasi:sockets/udp", WASI, "sockets"],
  ["wasi:sockets/udp-create-socket", WASI, "sockets"],
  ["skep:worker/config", SKEP, "none"],
  ["skep:worker/context", SKEP, "none"],
  ["skep:worker/fetch", SKEP, "http"],
  ["skep:worker/state", SKEP, "none"],
  ["skep:worker/transcript", SKEP, "none"],
];

/** An interface name, and its version if it has one. */
export interface InterfaceName {
  readonly name: string;
  readonly version?: string;
}

/** Splits `wasi:io/poll@0.2.3`. */
export function splitName(text: string): InterfaceName {
  const at = text.indexOf("@");
  return at < 0 ? { name: text } : { name: text.slice(0, at), version: text.slice(at + 1) };
}

/** Returns true if the linker treats two versions as interchangeable: same major, or same minor
 * below 1.0. A prerelease matches only itself. */
export function compatible(a: string, b: string): boolean {
  const [left, right] = [track(a), track(b)];
  return left !== undefined && right !== undefined ? left === right : a === b;
}

function track(version: string): string | undefined {
  const match = /^([0-9]+)\.([0-9]+)\.[0-9]+$/.exec(version);
  if (match === null) return undefined;
  const [major, minor] = [BigInt(match[1]!), BigInt(match[2]!)];
  if (major > 0n) return `${major}`;
  return minor > 0n ? `0.${minor}` : undefined;
}

/** An import beside what Skep offers. */
export interface ImportFinding {
  readonly name: string;
  /** `offered` works as it is, `not_granted` links but each call is refused, the others are refused
   * before anything runs. */
  readonly status: "offered" | "not_granted" | "unknown" | "other_version";
  /** The version that Skep has. */
  readonly have?: string;
  readonly need: Need;
  /** What this means, in a sentence. */
  readonly note?: string;
}

/** Compares an import with the offers. */
export function findImport(text: string, abi: "component" | "preview1"): ImportFinding {
  if (abi === "preview1") {
    const known = text.startsWith("wasi_snapshot_preview1.");
    const isFile = /\.(path_|fd_)/.test(text);
    return known
      ? { name: text, status: "offered", need: isFile ? "directory" : "none" }
      : { name: text, status: "unknown", need: "none", note: "unknown to Skep" };
  }
  const wanted = splitName(text);
  const named = OFFERS.filter(([name]) => name === wanted.name);
  const offer = named.find(
    ([, version]) => wanted.version !== undefined && compatible(wanted.version, version),
  );
  if (offer === undefined) {
    const have = named[0]?.[1];
    return have === undefined
      ? { name: text, status: "unknown", need: "none", note: "unknown to Skep" }
      : { name: text, status: "other_version", have, need: "none", note: `Skep offers version ${have}` };
  }
  const [, have, need] = offer;
  switch (need) {
    case "http":
      return {
        name: text,
        status: "not_granted",
        have,
        need,
        note: "every request is denied until a host is granted",
      };
    case "sockets":
      return {
        name: text,
        status: "not_granted",
        have,
        need,
        note: "every call is denied; nothing grants sockets",
      };
    case "directory":
      return { name: text, status: "offered", have, need, note: "sees /data and granted directories" };
    case "none":
      return { name: text, status: "offered", have, need };
  }
}

/** What a file needs and could be granted. */
export interface GrantOptions {
  /** Imports that make the runtime refuse the file. */
  readonly unsupported: readonly ImportFinding[];
  /** Imports whose calls are denied without a grant. */
  readonly denied: readonly ImportFinding[];
  /** True if a grant of directories would be of use. */
  readonly scopes: boolean;
  /** True if a grant of HTTP hosts, and with it secrets, would be of use. */
  readonly http: boolean;
}

/** Sorts a file's imports by what they need. */
export function grantOptions(imports: readonly string[], abi: "component" | "preview1"): GrantOptions {
  const found = imports.map((name) => findImport(name, abi));
  return {
    unsupported: found.filter(({ status }) => status === "unknown" || status === "other_version"),
    denied: found.filter(({ status }) => status === "not_granted"),
    scopes: found.some(({ need }) => need === "directory"),
    http: found.some(({ need }) => need === "http"),
  };
}
