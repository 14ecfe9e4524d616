import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const DIST = "dist";

/** Files that are worth compressing. */
const TEXT = /\.(html|js|css|svg|json|webmanifest|txt)$/;

/** Empties the output folder but for its hidden files, and writes every text file a second and third time, compressed. */
function packed(): Plugin {
  const files = (dir: string): string[] =>
    readdirSync(dir).flatMap((name) => {
      const path = join(dir, name);
      return statSync(path).isDirectory() ? files(path) : [path];
    });
  return {
    name: "packed",
    apply: "build",
    buildStart() {
      for (const name of readdirSync(DIST)) if (!name.startsWith(".")) rmSync(join(DIST, name), { recursive: true });
    },
    closeBundle() {
      let total = 0;
      for (const path of files(DIST).filter((path) => TEXT.test(path) && !path.endsWith(".br"))) {
        const bytes = readFileSync(path);
        const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        writeFileSync(`${path}.br`, brotli);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        total += brotli.length;
      }
      console.log(`${(total / 1024).toFixed(1)} KiB compressed`);
    },
  };
}

export default defineConfig({
  base: "/console/",
  plugins: [svelte(), packed()],
  build: {
    outDir: DIST,
    emptyOutDir: false,
    target: "es2022",
    // The policy of the pages has no `data:`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` beside a server on its usual port.
    proxy: { "/likeness": "http://127.0.0.1:7080", "/readyz": "http://127.0.0.1:7080" },
  },
});
