// Bundles styles and scripts into ../static/dist with hashed names and writes manifest.json,
// from which the templates take the names. Old browsers at tills: es2019, no nesting.
import { build } from "esbuild";
import { rm, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = fileURLToPath(new URL("../static/dist/", import.meta.url));

await rm(dist, { recursive: true, force: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/app.js", "src/app.css"],
  outdir: dist,
  bundle: true,
  minify: true,
  target: ["es2019", "chrome86"],
  entryNames: "[name]-[hash]",
  metafile: true,
  legalComments: "eof",
});

const manifest = {};
for (const [file, output] of Object.entries(result.metafile.outputs)) {
  if (output.entryPoint) {
    const entry = basename(output.entryPoint);
    manifest[entry] = basename(file);
    console.log(`${entry} -> ${basename(file)} (${output.bytes} bytes, ${extname(file).slice(1)})`);
  }
}
await writeFile(dist + "manifest.json", JSON.stringify(manifest, null, 2) + "\n");
