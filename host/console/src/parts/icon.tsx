// Icons: strokes on a 16-unit grid, drawn in the text's colour. They repeat what words say, so
// screen readers skip them.

const PATHS = {
  overview: "M2.5 2.5h4.5v5H2.5zM9 2.5h4.5v3H9zM9 8h4.5v5.5H9zM2.5 10h4.5v3.5H2.5z",
  workers: "M8 1.8 13.4 4.9v6.2L8 14.2 2.6 11.1V4.9zM8 8l5.2-3M8 8v6M8 8 2.8 5",
  components: "M3 2.5h6.5L13 6v7.5H3zM9.5 2.5V6H13M5.5 9h5M5.5 11.2h3",
  pipelines: "M2.5 2.5h4v4h-4zM9.5 6h4v4h-4zM2.5 9.5h4v4h-4zM6.5 4.5H8V8h1.5M6.5 11.5H8V8",
  runtime: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  audit: "M3.5 2.5h9v11h-9zM6 5.5h4M6 8h4M6 10.5h2.5",
  access: "M10 6a2.6 2.6 0 1 0-2.4 2.6L3 13.2V14h2.5v-1.6H7v-1.6h1.4V9.2",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7 14 14",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.5 6.5 12 13 4.5",
  warn: "M8 2.2 14.3 13.2H1.7zM8 6.4v3.2M8 11.4h.01",
  error: "M5.2 1.8h5.6l3.4 3.4v5.6l-3.4 3.4H5.2l-3.4-3.4V5.2zM8 4.8v4M8 11.2h.01",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.4V11M8 5h.01",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  play: "M4.5 3v10l8-5z",
  stop: "M4 4h8v8H4z",
  trash: "M2.5 4.5h11M6 4.5V2.8h4v1.7M4 4.5l.6 8.7h6.8l.6-8.7M6.6 7v4M9.4 7v4",
  label: "M2.5 7.6V2.5h5.1l6 6-5.1 5.1zM5.4 5.4h.01",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  down: "M4 6l4 4 4-4",
  up: "M4 10l4-4 4 4",
  right: "M6 4l4 4-4 4",
  left: "M10 4 6 8l4 4",
  plus: "M8 3v10M3 8h10",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
  theme: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2v12",
  keys: "M1.5 4h13v8h-13zM4 6.5h.01M6.7 6.5h.01M9.4 6.5h.01M12 6.5h.01M5 9.5h6",
  logout: "M6.5 2.5h-4v11h4M6 8h7.5M11 5l3 3-3 3",
  upload: "M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M2.5 10.5v3h11v-3",
  download: "M8 2.5v8M4.8 7.3 8 10.5l3.2-3.2M2.5 10.5v3h11v-3",
  undo: "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M5.5 3.5l-3 3 3 3",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.8h-2.8",
  filter: "M2 3.5h12L9.5 8.8V13l-3-1.4V8.8z",
  offline: "M2 2l12 12M4 7.5a6 6 0 0 1 2-1.4M2 5.2a9 9 0 0 1 1.8-1.3M7.5 3a9 9 0 0 1 6.5 2.2M10.5 6.6A6 6 0 0 1 12 7.5M6 10a3 3 0 0 1 3.3-.4M8 12.6h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon-glyph" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
