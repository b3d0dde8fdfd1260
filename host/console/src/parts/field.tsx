// Fields with their label, help and error tied to them, and choices of one.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export interface FieldProps {
  label: string;
  help?: ComponentChildren;
  error?: string | null;
  /** Renders the control with the ids that tie it to label, help and error. */
  children: (ids: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ComponentChildren;
}

export function Field({ label, help, error, children }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label class="label" for={id}>
        {label}
      </label>
      {children({ id, "aria-describedby": `${id}-more`, "aria-invalid": Boolean(error) })}
      <span id={`${id}-more`} class={error ? "error small" : "help"}>
        {error || help}
      </span>
    </div>
  );
}

export interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; words: ComponentChildren }[];
  onChange: (value: T) => void;
}

/** A few choices side by side, one of them on. */
export function Segments<T extends string>({ label, value, options, onChange }: SegmentsProps<T>) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map((one) => (
        <button
          key={one.value}
          type="button"
          aria-pressed={one.value === value}
          onClick={() => onChange(one.value)}
        >
          {one.words}
        </button>
      ))}
    </div>
  );
}
