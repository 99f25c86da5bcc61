// `npm run chaos -- --minutes N [--scenario T-KILL] [--seed S]`: the chaos suite, on Bun.
import { onBun } from "./on-bun.mjs";

onBun("apps/ts/tests/chaos/main.ts", { flags: ["--no-env-file"], cwd: "apps/ts" });
