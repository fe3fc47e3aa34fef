// Builds the page into dist/ (committed, embedded by the server), or with --test or --mock the tests or the mock cluster
// into target/, or with --check compares what is committed with what the sources give. The output depends only on the sources
// and the lock file: no hashes, no dates, no source maps.
import { build } from "esbuild";
import { cp, mkdir, readdir, readFile, rm } from "node:fs/promises";

const options = { bundle: true, target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning" };

async function page(dist) {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist, { recursive: true });
  await build({ ...options, entryPoints: ["src/main.ts"], outfile: `${dist}/main.js`, format: "esm", minify: true });
  await build({ ...options, entryPoints: ["static/style.css"], outfile: `${dist}/style.css`, minify: true, external: ["*.woff2"] });
  await cp("static/index.html", `${dist}/index.html`);
  await cp("static/icon.svg", `${dist}/icon.svg`);
  const font = "node_modules/@fontsource-variable/inter";
  await cp(`${font}/files/inter-latin-wght-normal.woff2`, `${dist}/inter.woff2`);
  await cp(`${font}/LICENSE`, `${dist}/inter.LICENSE.txt`);
}

/** Whether the committed page is what the sources give. */
async function check() {
  await page("target/dist");
  const names = new Set([...(await readdir("dist")), ...(await readdir("target/dist"))]);
  const read = (folder, name) => readFile(`${folder}/${name}`).catch(() => Buffer.alloc(0));
  for (const name of names) {
    const [committed, built] = await Promise.all([read("dist", name), read("target/dist", name)]);
    if (committed.equals(built)) continue;
    console.error(`dist/${name} is not what the sources give: run \`npm run build\` and commit tools/web/dist`);
    process.exitCode = 1;
  }
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
} else if (process.argv.includes("--check")) {
  await check();
} else {
  await page("dist");
}
