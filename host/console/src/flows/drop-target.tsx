// Takes files dropped anywhere on the page, and shows the dialog that makes a worker of one. The
// dialog itself is loaded when it is needed first. A part of a page that takes files itself, such
// as a worker's files, prevents the default and is left alone.

import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { may } from "../api/session";
import { Icon } from "../parts/icon";
import { toast } from "../parts/toast";
import { type Source, offerFile, source } from "./new-worker-source";

interface DialogProps {
  source: Source;
  onClose: () => void;
}

export function DropTarget({ load }: { load: () => Promise<ComponentType<DialogProps>> }) {
  const over = useSignal(false);
  const dialog = useSignal<{ view: ComponentType<DialogProps> } | null>(null);

  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const isOurs = (event: DragEvent) =>
      hasFiles(event) && !event.defaultPrevented && !document.querySelector("dialog[open]");
    // A drag that leaves the window tells nothing; the next pointer event without one does.
    let left: ReturnType<typeof setTimeout> | undefined;
    const onOver = (event: DragEvent) => {
      if (!isOurs(event)) {
        over.value = false;
        return;
      }
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = may("operator") ? "copy" : "none";
      over.value = true;
      clearTimeout(left);
      left = setTimeout(() => (over.value = false), 400);
    };
    const onDrop = (event: DragEvent) => {
      over.value = false;
      if (!hasFiles(event) || event.defaultPrevented) return;
      // Else the browser would leave the console and show the file.
      event.preventDefault();
      if (document.querySelector("dialog[open]")) return;
      const files = event.dataTransfer?.files;
      const file = files?.[0];
      if (!file) return;
      if (!may("operator")) {
        toast({ tone: "failed", text: "To create workers you need the role operator." });
        return;
      }
      if ((files?.length ?? 0) > 1) {
        toast({ tone: "failed", text: "One component at a time: the first was taken." });
      }
      offerFile(file);
    };
    window.addEventListener("dragover", onOver);
    window.addEventListener("drop", onDrop);
    return () => {
      clearTimeout(left);
      window.removeEventListener("dragover", onOver);
      window.removeEventListener("drop", onDrop);
    };
  }, []);

  const wanted = source.value;
  useEffect(() => {
    if (!wanted || dialog.peek()) return;
    load().then(
      (view) => (dialog.value = { view }),
      () => {
        source.value = null;
        toast({ tone: "failed", text: "The console was updated meanwhile. Reload the page." });
      },
    );
  }, [wanted]);

  const View = dialog.value?.view;
  return (
    <>
      {over.value && (
        <div class="drop-veil" aria-hidden="true">
          <div>
            <Icon name="upload" />
            <strong>{may("operator") ? "Drop a component" : "Needs the role operator"}</strong>
            <span>
              {may("operator")
                ? "It is read here first; nothing is sent before you say so."
                : "With your role you can look, not create."}
            </span>
          </div>
        </div>
      )}
      {wanted && View && <View source={wanted} onClose={() => (source.value = null)} />}
    </>
  );
}
