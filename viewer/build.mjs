// Builds the page into the package: one script, one style, one file of HTML. The same sources give the same bytes.
import { copyFileSync, mkdirSync } from "node:fs";
import { context } from "esbuild";

const out = process.env.VIEWER_OUT ?? "../src/contemplate/server/viewer/static";
mkdirSync(out, { recursive: true });
const build = await context({
  entryPoints: [
    { in: "src/main.tsx", out: "viewer" },
    { in: "src/style.css", out: "viewer" },
  ],
  bundle: true,
  minify: true,
  legalComments: "none",
  charset: "utf8",
  format: "iife",
  target: ["chrome110", "firefox113", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  entryNames: "[name]",
  outdir: out,
  logLevel: "warning",
});
if (process.argv.includes("--watch")) await build.watch();
else {
  await build.rebuild();
  await build.dispose();
}
copyFileSync("src/index.html", `${out}/index.html`);
