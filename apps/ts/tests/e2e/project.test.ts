import { setDefaultTimeout } from "bun:test";
import { projectSuite } from "./suites/project.ts";

setDefaultTimeout(30_000);

projectSuite("bun");
