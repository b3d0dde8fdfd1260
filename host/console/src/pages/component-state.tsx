// Parts of the pages about components.

import type { Schemas } from "../api/client";
import { State } from "../parts/state";
import { grantOptions } from "../wasm/grants";
import { abiOf } from "../wasm/imports";

type ComponentView = Schemas["ComponentView"];

/** The state of a component's machine code. */
export function CompiledState({ component }: { component: ComponentView }) {
  switch (component.compiled) {
    case "ready":
      return <State word="Ready" tone="good" shape="tick" />;
    case "pending":
      return <State word="Compiling" tone="busy" shape="turning" />;
    case "none":
      return <State word="None" tone="idle" shape="ring" />;
  }
}

/** Imports in a few words: how many, and what they would need. */
export function ImportSummary({ imports }: { imports: readonly string[] }) {
  const { unsupported, http } = grantOptions(imports, abiOf(imports));
  return (
    <span>
      {imports.length}
      {unsupported.length > 0 && (
        <>
          {" · "}
          <span class="state bad">{unsupported.length} not offered</span>
        </>
      )}
      {http && <span class="muted"> · requests need a grant</span>}
    </span>
  );
}
