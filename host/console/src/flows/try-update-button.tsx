// The button that opens the try of an update. The dialog is loaded with the first click; its style
// is in the sheet of the page that has the button.

import type { ComponentType } from "preact";
import { useSignal } from "@preact/signals";

import { Button } from "../parts/button";
import { toast } from "../parts/toast";
import type { TryUpdateProps } from "./try-update";

type Props = Omit<TryUpdateProps, "onClose">;

export function TryUpdateButton(props: Props) {
  const dialog = useSignal<{ view: ComponentType<TryUpdateProps> } | null>(null);
  const open = async () => {
    try {
      const { TryUpdate } = await import("./try-update");
      dialog.value = { view: TryUpdate };
    } catch {
      toast({ tone: "failed", text: "The console was updated meanwhile. Reload the page." });
    }
  };
  const View = dialog.value?.view;
  return (
    <>
      <Button icon="retry" needs="operator" onClick={open}>
        Try on real inputs…
      </Button>
      {View && <View {...props} onClose={() => (dialog.value = null)} />}
    </>
  );
}
