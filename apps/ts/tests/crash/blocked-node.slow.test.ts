import { engines } from "../cli/project.ts";
import { blockedSuite } from "./blocked-suite.ts";

for (const [name, engine] of engines) if (name === "Node") blockedSuite(name, engine);
