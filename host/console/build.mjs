// Builds the console into dist/: hashed files in dist/assets, the shell dist/index.html, and a
// .br and .gz beside each file. `--test` builds and runs the unit tests, `--serve` serves a
// development build that passes /api on to a running `skep up`.

import { build, context } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

// The oldest browsers with everything that the pages need: <dialog>, light-dark(), CSS nesting.
const target = ["chrome123", "firefox120", "safari17.5"];

// What people wait for at most, compressed by gzip. Each request of the first view beyond these files
// is one to the API.
const FIRST_ENTRIES = ["src/main.tsx", "src/style/index.css", "src/pages/overview.tsx"];
const FIRST_BYTES = 40_000;
const FIRST_FILES = 5;
const TOTAL_BYTES = 150_000;

/**
 * Makes whatever is loaded on demand import `src/kit.ts`. esbuild puts a module into one file with
 * those that exactly the same entries reach; so all that the kit names comes in one file instead of
 * twenty.
 */
const kit = {
  name: "kit",
  setup(build) {
    build.onLoad({ filter: /[\\/]src[\\/](pages|flows)[\\/].*\.tsx?$/ }, async ({ path }) => ({
      contents: `import ${JSON.stringify(join(here, "src/kit"))};${await readFile(path, "utf8")}`,
      loader: path.endsWith("x") ? "tsx" : "ts",
    }));
  },
};

const options = {
  absWorkingDir: here,
  entryPoints: { main: "src/main.tsx", style: "src/style/index.css", icon: "src/style/icon.svg" },
  bundle: true,
  splitting: true,
  format: "esm",
  target,
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "/assets",
  loader: { ".svg": "copy" },
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
  plugins: [kit],
};

/** Returns the shell: one script, its style sheets, and the style sheet of each page's chunk. */
function shell(metafile) {
  const url = (path) => `/${relative("dist", path)}`;
  const outputs = Object.entries(metafile.outputs);
  const of = (entry) => outputs.find(([, output]) => output.entryPoint === entry);
  const [script, main] = of("src/main.tsx");
  const [style] = of("src/style/index.css");
  const [icon] = outputs.find(([path]) => path.endsWith(".svg"));
  const early = main.imports.filter((one) => one.kind === "import-statement");
  const styles = outputs
    .filter(([, output]) => output.entryPoint?.startsWith("src/pages/") && output.cssBundle)
    .map(([, output]) => {
      const page = output.entryPoint.replace(/^src\/pages\//, "").replace(/\.tsx$/, "");
      return `${page}=${url(output.cssBundle)}`;
    });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Skep</title>
<link rel="icon" href="${url(icon)}" type="image/svg+xml">
<link rel="stylesheet" href="${url(style)}">
${early.map((one) => `<link rel="modulepreload" href="${url(one.path)}">\n`).join("")}\
<meta name="page-styles" content="${styles.join(" ")}">
<script type="module" src="${url(script)}"></script>
</head>
<body>
<div id="app"></div>
<noscript>The console needs JavaScript. The command line does the same: skep worker --help</noscript>
</body>
</html>
`;
}

/** Writes a compressed copy beside a file, where that is smaller. */
async function compress(path) {
  const bytes = await readFile(path);
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  const gzip = gzipSync(bytes, { level: 9 });
  await writeFile(`${path}.br`, brotli);
  await writeFile(`${path}.gz`, gzip);
  return { bytes: bytes.length, gzip: gzip.length };
}

async function release() {
  await rm(dist, { recursive: true, force: true });
  const { metafile } = await build(options);
  await writeFile(join(dist, "index.html"), shell(metafile));
  // esbuild joins the style sheets of all pages into one for the script that loads the pages. Each
  // page brings its own, so nothing refers to the joined one.
  const joined = Object.values(metafile.outputs).find((one) => one.entryPoint === "src/main.tsx")?.cssBundle;
  if (joined) await rm(join(here, joined));
  const paths = [join(dist, "index.html")];
  for (const name of (await readdir(join(dist, "assets"))).sort()) {
    paths.push(join(dist, "assets", name));
  }
  let total = 0;
  for (const path of paths) {
    const { bytes, gzip } = await compress(path);
    total += gzip;
    console.log(`${relative(dist, path).padEnd(44)} ${String(bytes).padStart(8)} ${String(gzip).padStart(7)} gzip`);
  }
  console.log(`${"total".padEnd(53)} ${String(total).padStart(7)} gzip`);
  const first = await firstView(metafile);
  console.log(`first view: ${first.files} files, ${first.gzip} gzip`);
  if (first.gzip > FIRST_BYTES || first.files > FIRST_FILES || total > TOTAL_BYTES) {
    console.error(
      `the console is larger than agreed: at most ${FIRST_FILES} files and ${FIRST_BYTES} bytes ` +
        `first, ${TOTAL_BYTES} bytes in all (gzip); load more of it on demand`,
    );
    process.exitCode = 1;
  }
}

/** Measures what the overview needs: the shell, its script and styles, and those of the page. */
async function firstView(metafile) {
  const { outputs } = metafile;
  const needed = new Set(["dist/index.html"]);
  const follow = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    for (const one of outputs[path].imports) if (one.kind === "import-statement") follow(one.path);
  };
  for (const [path, { entryPoint, cssBundle }] of Object.entries(outputs)) {
    if (entryPoint === "src/pages/overview.tsx" && cssBundle) needed.add(cssBundle);
    if (FIRST_ENTRIES.includes(entryPoint)) follow(path);
  }
  let gzip = 0;
  for (const path of needed) gzip += (await readFile(join(here, `${path}.gz`))).length;
  return { files: needed.size, gzip };
}

/** Bundles each test, so that Node 18 runs them without a loader for TypeScript. */
async function test(filter) {
  const names = (await readdir(join(here, "test")))
    .filter((name) => /\.test\.tsx?$/.test(name) && name.includes(filter));
  const out = await mkdtemp(join(tmpdir(), "console-test-"));
  try {
    await build({
      absWorkingDir: here,
      entryPoints: names.map((name) => `test/${name}`),
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node18",
      outdir: out,
      outExtension: { ".js": ".mjs" },
      jsx: "automatic",
      jsxImportSource: "preact",
      loader: { ".css": "empty" },
      sourcemap: "inline",
      logLevel: "warning",
      // Browsers and later versions of Node have it; Node 18 hides it.
      banner: { js: 'globalThis.crypto ??= (await import("node:crypto")).webcrypto;' },
    });
    const files = names.map((name) => join(out, name.replace(/\.tsx?$/, ".mjs")));
    const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], {
      stdio: "inherit",
    });
    process.exitCode = run.status ?? 1;
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

async function watch() {
  await mkdir(dist, { recursive: true });
  const rebuilt = {
    name: "shell",
    setup(build) {
      build.onEnd(async ({ metafile, errors }) => {
        if (errors.length === 0 && metafile) {
          await writeFile(join(dist, "index.html"), shell(metafile));
        }
      });
    },
  };
  const watched = await context({
    ...options, minify: false, sourcemap: "linked", logLevel: "info", plugins: [kit, rebuilt],
  });
  await watched.watch();
}

const [mode, argument] = process.argv.slice(2);
if (mode === "--test") {
  await test(argument ?? "");
} else if (mode === "--watch") {
  await watch();
} else if (mode === "--serve") {
  await watch();
  const { serve } = await import("./serve.mjs");
  serve(dist, argument ?? "http://127.0.0.1:7070");
} else if (mode === undefined) {
  await release();
} else {
  console.error(`unknown option ${mode}; use --test, --watch or --serve [ADDRESS OF skep up]`);
  process.exitCode = 2;
}
