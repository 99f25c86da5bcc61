// `npm run soak -- --minutes N --storage sqlite|postgres`: memory under mixed load with clients that vanish, on Bun.
import { onBun } from "./on-bun.mjs";

onBun("apps/ts/tests/soak/main.ts", { flags: ["--no-env-file"], cwd: "apps/ts" });
