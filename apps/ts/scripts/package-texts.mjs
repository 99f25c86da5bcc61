// The package carries the repository's README and licence. npm takes them from the package's own folder only, so they stand
// there while it packs: `prepack` calls this with "add", `postpack` with "remove". The changelog lives there anyway.
import { copyFileSync, existsSync, rmSync } from "node:fs";

const TEXTS = ["README.md", "LICENSE"];
const here = new URL("../", import.meta.url);
const repository = new URL("../../../", import.meta.url);
const mode = process.argv[2];
if (mode !== "add" && mode !== "remove") throw new Error(`"${mode}" is neither "add" nor "remove"`);

for (const name of TEXTS) {
  const target = new URL(name, here);
  if (mode === "remove") rmSync(target, { force: true });
  else if (existsSync(new URL(name, repository))) copyFileSync(new URL(name, repository), target);
}
