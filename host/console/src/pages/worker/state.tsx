// The tab "State": keys and values of the worker's durable state, read from the store. Reading
// never wakes the worker.

import { useEffect, useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { request, workerPath } from "../../api/client";
import { Problem } from "../../api/problem";
import { Body } from "../../parts/body";
import { Button } from "../../parts/button";
import { Empty } from "../../parts/empty";
import { GuestText } from "../../parts/guest-text";
import { Loaded, useLoad } from "../../parts/load";
import { toastFailure } from "../../parts/toast";
import { hash, setHash } from "../../router";
import { bytes as size } from "../../text/bytes";
import { fromBase64, toHex } from "../../text/hex";
import type { LiveWorker, Worker } from "./live";
import { useActivity } from "./settled";

interface Item {
  key?: string | null;
  key_base64?: string | null;
  content_type?: string;
  body?: string | null;
  body_base64?: string | null;
  /** Length of the whole value. */
  bytes: number;
}

interface Page {
  items: Item[];
  next_cursor: string | null;
}

const PAGE = 100;

/** Bytes of a value in its row. */
const PREVIEW_BYTES = 160;

export function StateTab({ live, worker }: { live: LiveWorker; worker: Worker }) {
  const prefix = hash.value["prefix"] ?? "";
  const base = `${workerPath(live.ref)}/state`;
  const load = useLoad(
    async (signal) => {
      try {
        return await request<Page>("get", base, { query: { prefix, limit: PAGE }, signal });
      } catch (error) {
        if (error instanceof Problem && error.status === 404 && error.code === "unknown") return null;
        throw error;
      }
    },
    // A turn that ended may have changed it.
    [base, prefix, useActivity(worker)],
  );
  const more = useSignal<readonly Item[]>([]);
  const next = useSignal<string | null>(null);
  useEffect(() => {
    more.value = [];
    next.value = load.value?.next_cursor ?? null;
  }, [load.value]);
  const readMore = async () => {
    try {
      const page = await request<Page>("get", base, { query: { prefix, limit: PAGE, cursor: next.peek() } });
      more.value = [...more.peek(), ...page.items];
      next.value = page.next_cursor;
    } catch (error) {
      toastFailure("The rest was not read.", error);
    }
  };
  return (
    <div class="scrolls">
      <div class="toolbar row wrap">
        <label class="row">
          Keys that begin with
          <input
            class="mono"
            value={prefix}
            spellcheck={false}
            autocomplete="off"
            placeholder="any"
            onInput={(event) => setHash({ prefix: event.currentTarget.value || null })}
          />
        </label>
        <span class="grow" />
        <span class="muted small">As of the last turn that ended. Reading wakes nothing.</span>
        <Button quiet icon="retry" label="Read again" onClick={load.reload} />
      </div>
      <Loaded load={load} lines={5}>
        {(page) =>
          page === null ? (
            <Empty icon="info" title="This host does not show state">
              <p>It runs an older version of Skep.</p>
            </Empty>
          ) : page.items.length === 0 ? (
            <Empty icon="info" title={prefix ? "No key begins so" : "No state"}>
              <p>What the worker sets through skep:worker/state is kept with its turn and stands here.</p>
            </Empty>
          ) : (
            <>
              <ul class="state-list">
                {[...page.items, ...more.value].map((item) => (
                  <Line key={item.key ?? item.key_base64} item={item} />
                ))}
              </ul>
              {next.value && <Button onClick={readMore}>More keys</Button>}
            </>
          )
        }
      </Loaded>
    </div>
  );
}

function Line({ item }: { item: Item }) {
  const open = useSignal(false);
  const name = useMemo(
    () => item.key ?? `0x${toHex(fromBase64(item.key_base64 ?? "") ?? new Uint8Array())}`,
    [item],
  );
  const shown = item.body?.length ?? Math.floor(((item.body_base64?.length ?? 0) * 3) / 4);
  return (
    <li>
      <button
        type="button"
        class="state-line"
        aria-expanded={open.value}
        onClick={() => void (open.value = !open.value)}
      >
        <span class="mono key">
          <GuestText text={name} most={200} />
        </span>
        <span class="mono value">
          {item.body != null ? (
            <GuestText text={item.body} most={PREVIEW_BYTES} />
          ) : (
            <i class="muted">{size(item.bytes)} of bytes</i>
          )}
        </span>
        <span class="muted small">{size(item.bytes)}</span>
      </button>
      {open.value && (
        <div class="state-value">
          <Body content={item} cut={item.bytes > shown + 3} />
          {item.bytes > shown + 3 && (
            <p class="muted small">
              The first {size(shown)} of {size(item.bytes)} are shown.
            </p>
          )}
        </div>
      )}
    </li>
  );
}
