import { blockedSuite } from "./blocked-suite.ts";

blockedSuite("Bun", {});
