// A component's imports and exports beside what Skep offers: what keeps it from running first, then
// what needs a grant, then the rest by package.

import { grouped } from "../text/bytes";
import { guestText } from "../text/guest";
import { Icon } from "../parts/icon";
import { type ImportFinding, findImport, splitName } from "./grants";
import "./imports.css";

type Abi = "component" | "preview1";

/** Modules import functions of WASI preview1; components import interfaces. */
export function abiOf(imports: readonly string[]): Abi {
  const isFunction = (name: string) => /^wasi_snapshot_preview1\b/.test(name);
  return imports.some(isFunction) ? "preview1" : "component";
}

/** Names of one package, without the package. */
export interface Group {
  from: string;
  names: string[];
}

/** Sorts names by their package and version: `wasi:io@0.2.3` has `poll` and `streams`. */
export function byPackage(names: readonly string[]): Group[] {
  const groups = new Map<string, string[]>();
  for (const text of names) {
    const { name, version } = splitName(text);
    const at = name.includes("/") ? name.indexOf("/") : name.indexOf(".");
    const base = at < 0 ? name : name.slice(0, at);
    const from = version === undefined ? base : `${base}@${version}`;
    const group = groups.get(from) ?? [];
    group.push(at < 0 ? name : name.slice(at + 1));
    groups.set(from, group);
  }
  return [...groups].map(([from, names]) => ({ from, names }));
}

export function Imports({ imports, abi = abiOf(imports) }: { imports: readonly string[]; abi?: Abi }) {
  if (imports.length === 0) return <p class="muted">It imports nothing.</p>;
  const found = imports.map((name) => findImport(name, abi));
  const of = (...status: ImportFinding["status"][]) =>
    found.filter((one) => status.includes(one.status));
  const refused = of("unknown", "other_version");
  const denied = of("not_granted").filter((one) => one.need !== "sockets");
  const sockets = found.filter((one) => one.need === "sockets");
  return (
    <div class="imports">
      {refused.length > 0 && (
        <Findings tone="bad" title="Not offered: it would be refused" list={refused} />
      )}
      {denied.length > 0 && <Findings tone="warn" title="Denied without a grant" list={denied} />}
      <Packages names={of("offered").map((one) => one.name)} />
      {sockets.length > 0 && (
        <p class="muted">
          It also imports {sockets.length} socket interfaces, as every standard library does: each
          call is denied, and no grant allows it.
        </p>
      )}
    </div>
  );
}

/** Packages shown. Names come from the file, which may have 100,000 of them. */
const MOST_PACKAGES = 200;

/** Names as text of a bounded length. */
function Names({ of }: { of: readonly string[] }) {
  const { runs, hiddenBytes } = guestText(of.join(", "));
  return (
    <bdi class="mono">
      {runs.map((run) => run.text).join("")}
      {hiddenBytes > 0 && "…"}
    </bdi>
  );
}

/** Names by package, one line each. */
export function Packages({ names }: { names: readonly string[] }) {
  const packages = byPackage(names);
  const more = packages.length - MOST_PACKAGES;
  return (
    <>
      <dl class="packages">
        {packages.slice(0, MOST_PACKAGES).map(({ from, names }) => (
          <div key={from}>
            <dt>
              <Names of={[from]} />
            </dt>
            <dd>
              <Names of={names} />
            </dd>
          </div>
        ))}
      </dl>
      {more > 0 && <p class="muted">{grouped(more)} more packages</p>}
    </>
  );
}

/** Findings of one kind: imports with one note are on one line. */
function Findings({ tone, title, list }: { tone: "bad" | "warn"; title: string; list: ImportFinding[] }) {
  const byNote = new Map<string, string[]>();
  for (const { name, note = "" } of list) {
    const names = byNote.get(note) ?? [];
    names.push(name);
    byNote.set(note, names);
  }
  return (
    <div class={`findings ${tone}`}>
      <h3>
        <Icon name={tone === "bad" ? "error" : "access"} /> {title}
      </h3>
      {[...byNote].map(([note, names]) => (
        <p key={note}>
          <Names of={names} />
          {note && <span class="muted"> — {note}</span>}
        </p>
      ))}
    </div>
  );
}
