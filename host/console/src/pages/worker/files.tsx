// The tab "Files": the worker's directory /data, folder by folder.

import { useMemo, useRef } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";

import { type Schemas, request, send, url, workerPath } from "../../api/client";
import { Problem, isAbort, sentence } from "../../api/problem";
import { upload } from "../../api/upload";
import { Body } from "../../parts/body";
import { Button } from "../../parts/button";
import { Dialog, confirm } from "../../parts/dialog";
import { CommandLine, Empty } from "../../parts/empty";
import { Field } from "../../parts/field";
import { Progress } from "../../parts/figures";
import { Icon } from "../../parts/icon";
import { Loaded, useLoad } from "../../parts/load";
import { Name } from "../../parts/name";
import { ProblemView } from "../../parts/problem";
import { Time } from "../../parts/time";
import { toast, toastFailure } from "../../parts/toast";
import { hash, setHash } from "../../router";
import { bytes as size } from "../../text/bytes";
import { neutral } from "../../text/guest";
import { toBase64, utf8 } from "../../text/hex";
import type { LiveWorker } from "./live";

type FileView = Schemas["FileView"];

interface Listing {
  items: FileView[];
  directories?: string[];
  next_cursor: string | null;
}

/** Bytes of a file that are shown. */
const VIEW_BYTES = 256 << 10;

/** Pages of a listing that one look reads. */
const PAGES = 20;

/** One folder, its names without the path to it. */
interface Folder {
  directories: string[];
  files: FileView[];
  isWhole: boolean;
}

/** An upload that runs or failed. */
interface Upload {
  name: string;
  sent: number;
  total: number;
  left: AbortController;
  problem: unknown;
}

export function FilesTab({ live }: { live: LiveWorker }) {
  const base = `${workerPath(live.ref)}/files`;
  const folder = normal(hash.value["path"] ?? "");
  const load = useLoad((signal) => list(base, folder, signal), [base, folder]);
  const uploads = useSignal<readonly Upload[]>([]);
  const viewed = useSignal<FileView | null>(null);
  const renamed = useSignal<string | null>(null);
  const over = useSignal(false);
  const chooser = useRef<HTMLInputElement>(null);
  const open = (path: string) => setHash({ path: path || null }, { replace: false });
  const put = (files: readonly File[]) => {
    for (const file of files)
      void store(base, folder + file.name, file, uploads).then((done) => done && load.reload());
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    put([...(event.dataTransfer?.files ?? [])]);
  };
  const gone = live.removed.value ? "The worker was removed." : null;
  return (
    <div
      class={`scrolls files${over.value ? " dropping" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={drop}
    >
      <div class="toolbar row wrap">
        <Crumbs folder={folder} onOpen={open} />
        <span class="grow" />
        <Button first icon="upload" needs="operator" disabled={gone} onClick={() => chooser.current?.click()}>
          Upload
        </Button>
        <a
          class="button"
          href={url(`${workerPath(live.ref)}/files.tar`)}
          download={`${live.ref.worker_id}.tar`}
        >
          <Icon name="download" />
          All as tar
        </a>
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          onChange={(event) => {
            put([...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = "";
          }}
        />
      </div>
      {uploads.value.map((one) => (
        <Sending key={one.name} one={one} uploads={uploads} />
      ))}
      <Loaded load={load} lines={5}>
        {(found) =>
          found.files.length + found.directories.length === 0 ? (
            <Empty icon="upload" title={folder ? "This folder is empty" : "No files"}>
              <p>
                The worker sees this as its directory /data. Drop files here, or copy them with the command
                line.
              </p>
              <CommandLine command={`skep worker files put ${live.ref.worker_id} NAME FILE`} />
            </Empty>
          ) : (
            <Listed
              folder={folder}
              found={found}
              base={base}
              onOpen={open}
              onView={(file) => (viewed.value = file)}
              onRename={(name) => (renamed.value = name)}
              onChanged={load.reload}
            />
          )
        }
      </Loaded>
      {viewed.value && <Viewer base={base} file={viewed.value} onClose={() => (viewed.value = null)} />}
      {renamed.value !== null && (
        <Rename
          base={base}
          from={renamed.value}
          onClose={() => (renamed.value = null)}
          onDone={load.reload}
        />
      )}
    </div>
  );
}

/** Returns a path of a folder with its slash, or nothing for the top. */
function normal(path: string): string {
  const clean = path.replace(/^\/+/, "");
  return clean === "" || clean.endsWith("/") ? clean : `${clean}/`;
}

async function list(base: string, folder: string, signal: AbortSignal): Promise<Folder> {
  const directories = new Set<string>();
  const files: FileView[] = [];
  let cursor: string | null = null;
  let delimiter: string | null = "/";
  for (let page = 0; page < PAGES; page += 1) {
    let answer: Listing;
    try {
      answer = await request<Listing>("get", base, { query: { prefix: folder, delimiter, cursor }, signal });
    } catch (error) {
      // A host that lists without folders names each file; the folders are read from the names.
      if (delimiter === null || !(error instanceof Problem) || error.status !== 400) throw error;
      delimiter = null;
      answer = await request<Listing>("get", base, { query: { prefix: folder, cursor }, signal });
    }
    for (const name of answer.directories ?? [])
      directories.add(name.replace(/\/$/, "").slice(name.startsWith(folder) ? folder.length : 0));
    for (const file of answer.items) {
      const own = file.name.slice(folder.length);
      const slash = own.indexOf("/");
      if (slash < 0) files.push(file);
      else directories.add(own.slice(0, slash));
    }
    cursor = answer.next_cursor;
    if (cursor === null) break;
  }
  directories.delete("");
  return { directories: [...directories].sort(), files, isWhole: cursor === null };
}

function path(base: string, name: string): string {
  return `${base}/${name.split("/").map(encodeURIComponent).join("/")}`;
}

function Crumbs({ folder, onOpen }: { folder: string; onOpen: (path: string) => void }) {
  const parts = folder.split("/").filter(Boolean);
  return (
    <nav class="crumbs" aria-label="Folder">
      <button
        type="button"
        onClick={() => onOpen("")}
        aria-current={parts.length === 0 ? "location" : undefined}
      >
        /data
      </button>
      {parts.map((part, at) => (
        <button
          key={at}
          type="button"
          aria-current={at === parts.length - 1 ? "location" : undefined}
          onClick={() => onOpen(`${parts.slice(0, at + 1).join("/")}/`)}
        >
          <Name text={part} />
        </button>
      ))}
    </nav>
  );
}

interface ListedProps {
  folder: string;
  found: Folder;
  base: string;
  onOpen: (path: string) => void;
  onView: (file: FileView) => void;
  onRename: (name: string) => void;
  onChanged: () => void;
}

function Listed({ folder, found, base, onOpen, onView, onRename, onChanged }: ListedProps) {
  const remove = async (name: string, isFolder: boolean) => {
    const shown = neutral(name);
    const sure = await confirm({
      title: `Delete ${shown}?`,
      body: isFolder
        ? "The folder and all that is in it are deleted. This cannot be undone."
        : "This cannot be undone.",
      action: "Delete",
      danger: true,
    });
    if (!sure) return;
    try {
      await request("delete", path(base, folder + name), { query: isFolder ? { recursive: "1" } : {} });
      toast({ text: `${shown} was deleted.` });
      onChanged();
    } catch (error) {
      toastFailure("It was not deleted.", error);
    }
  };
  return (
    <>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col" class="wide-only">
              Changed
            </th>
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {found.directories.map((name) => (
            <tr key={`${name}/`}>
              <td>
                <button type="button" class="link" onClick={() => onOpen(`${folder}${name}/`)}>
                  <Name text={name} />/
                </button>
              </td>
              <td class="number muted wide-only">folder</td>
              <td class="wide-only" />
              <td class="end">
                <Button
                  quiet
                  icon="trash"
                  label={`Delete ${neutral(name)}`}
                  needs="operator"
                  onClick={() => remove(name, true)}
                />
              </td>
            </tr>
          ))}
          {found.files.map((file) => {
            const name = file.name.slice(folder.length);
            return (
              <tr key={file.name}>
                <td>
                  <button type="button" class="link" onClick={() => onView(file)}>
                    <Name text={name} />
                  </button>
                </td>
                <td class="number" data-label="Size" title={`${file.bytes} bytes`}>
                  {size(file.bytes)}
                </td>
                <td class="wide-only">
                  <Time at={file.modified_at} />
                </td>
                <td class="end">
                  <span class="row">
                    <a
                      class="button quiet icon"
                      href={path(base, file.name)}
                      download={name}
                      aria-label={`Download ${neutral(name)}`}
                      title="Download"
                    >
                      <Icon name="download" />
                    </a>
                    <Button
                      quiet
                      icon="label"
                      label={`Rename ${neutral(name)}`}
                      needs="operator"
                      onClick={() => onRename(file.name)}
                    />
                    <Button
                      quiet
                      icon="trash"
                      label={`Delete ${neutral(name)}`}
                      needs="operator"
                      onClick={() => remove(name, false)}
                    />
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {!found.isWhole && (
        <p class="muted">There are more files than are listed. The archive has all of them.</p>
      )}
    </>
  );
}

/** Uploads one file. Returns true if it is stored. */
async function store(
  base: string,
  name: string,
  file: File,
  uploads: Signal<readonly Upload[]>,
): Promise<boolean> {
  const left = new AbortController();
  const change = (with_: Partial<Upload>) => {
    uploads.value = uploads.peek().map((one) => (one.left === left ? { ...one, ...with_ } : one));
  };
  uploads.value = [
    ...uploads.peek().filter((one) => one.name !== name),
    { name, sent: 0, total: file.size, left, problem: undefined },
  ];
  try {
    await upload("put", path(base, name), file, {
      signal: left.signal,
      progress: (sent, total) => change({ sent, total }),
    });
    uploads.value = uploads.peek().filter((one) => one.left !== left);
    toast({ text: `${neutral(name)} was stored.` });
    return true;
  } catch (error) {
    if (isAbort(error)) {
      uploads.value = uploads.peek().filter((one) => one.left !== left);
      toast({ text: `${neutral(name)} was cancelled; nothing was stored.` });
    } else change({ problem: error });
    return false;
  }
}

function Sending({ one, uploads }: { one: Upload; uploads: Signal<readonly Upload[]> }) {
  const forget = () => (uploads.value = uploads.peek().filter((other) => other !== one));
  return (
    <div class="card sending">
      <div class="row">
        <span class="grow clip">
          <Name text={one.name} />
        </span>
        {one.problem === undefined ? (
          <>
            <span class="muted small">
              {size(one.sent)} of {size(one.total)}
            </span>
            <Button icon="close" onClick={() => one.left.abort()}>
              Cancel
            </Button>
          </>
        ) : (
          <Button quiet icon="close" label="Dismiss" onClick={() => void forget()} />
        )}
      </div>
      {one.problem === undefined ? (
        <Progress label={`Upload of ${neutral(one.name)}`} done={one.sent} total={one.total} />
      ) : (
        <p class="error">{sentence(one.problem)}</p>
      )}
    </div>
  );
}

function Viewer({ base, file, onClose }: { base: string; file: FileView; onClose: () => void }) {
  const load = useLoad(
    async (signal) => {
      if (file.bytes === 0) return new Uint8Array();
      const headers = { range: `bytes=0-${Math.min(file.bytes, VIEW_BYTES) - 1}` };
      const response = await send("get", path(base, file.name), { headers, signal });
      return new Uint8Array(await response.arrayBuffer());
    },
    [base, file.name, file.modified_at],
  );
  const content = useMemo(() => {
    if (!load.value) return undefined;
    const text = utf8(load.value);
    return text === undefined ? { body_base64: toBase64(load.value) } : { body: text };
  }, [load.value]);
  return (
    <Dialog
      wide
      title={neutral(file.name)}
      onClose={onClose}
      footer={
        <a class="button" href={path(base, file.name)} download={file.name.split("/").at(-1)}>
          Download {size(file.bytes)}
        </a>
      }
    >
      {load.error !== undefined && <ProblemView error={load.error} retry={load.reload} />}
      {content && <Body content={content} cut={file.bytes > VIEW_BYTES} />}
      {file.bytes > VIEW_BYTES && <p class="muted">The first {size(VIEW_BYTES)} are shown.</p>}
    </Dialog>
  );
}

function Rename({
  base,
  from,
  onClose,
  onDone,
}: {
  base: string;
  from: string;
  onClose: () => void;
  onDone: () => void;
}) {
  const to = useSignal(from);
  const problem = useSignal<string | null>(null);
  const submit = async () => {
    try {
      await request("post", `${base}:rename`, { json: { from, to: to.peek() } });
      toast({ text: `${neutral(from)} is now ${neutral(to.peek())}.` });
      onClose();
      onDone();
    } catch (error) {
      problem.value = sentence(error);
    }
  };
  return (
    <Dialog
      title={`Rename ${neutral(from)}`}
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button first type="submit" disabled={to.value === from && "It has this name."}>
            Rename
          </Button>
        </>
      }
    >
      <Field label="New name, with its folders" error={problem.value}>
        {(ids) => (
          <input
            {...ids}
            class="mono"
            autofocus
            value={to.value}
            onInput={(event) => (to.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}
