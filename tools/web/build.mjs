// Builds the page into dist/ (committed, embedded by the server), or with --test or --mock the tests or the mock cluster
// into target/. The output depends only on the sources and the lock file: no hashes, no dates, no source maps.
import { build } from "esbuild";
import { cp, mkdir, readdir, rm } from "node:fs/promises";

const options = { bundle: true, target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning" };

async function page() {
  await rm("dist", { recursive: true, force: true });
  await mkdir("dist", { recursive: true });
  await build({ ...options, entryPoints: ["src/main.ts"], outfile: "dist/main.js", format: "esm", minify: true });
  await build({ ...options, entryPoints: ["static/style.css"], outfile: "dist/style.css", minify: true, external: ["*.woff2"] });
  await cp("static/index.html", "dist/index.html");
  await cp("static/icon.svg", "dist/icon.svg");
  const font = "node_modules/@fontsource-variable/inter";
  await cp(`${font}/files/inter-latin-wght-normal.woff2`, "dist/inter.woff2");
  await cp(`${font}/LICENSE`, "dist/inter.LICENSE.txt");
}

async function forNode(folder, entries) {
  const outdir = `target/${folder}`;
  await rm(outdir, { recursive: true, force: true });
  await build({ ...options, entryPoints: entries, outdir, platform: "node", format: "esm", packages: "external" });
}

if (process.argv.includes("--test")) {
  const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
  await forNode("test", tests.map((name) => `test/${name}`));
} else if (process.argv.includes("--mock")) {
  await forNode("mock", ["mock/server.ts"]);
} else {
  await page();
}
