// Points git at the hooks of this repository; outside a checkout (a packed install, an image) there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

if (existsSync(".git")) spawnSync("git", ["config", "core.hooksPath", "scripts/hooks"], { stdio: "ignore" });
