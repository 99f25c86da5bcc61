// `npm run bench`: the benchmark, on Bun.
import { onBun } from "./on-bun.mjs";

onBun("benchmarks/run.ts");
