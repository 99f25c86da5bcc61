import { engines } from "../cli/project.ts";
import { movedFilesSuite } from "./moved-files-suite.ts";

for (const [name, engine] of engines) if (name === "Node") movedFilesSuite(name, engine);
