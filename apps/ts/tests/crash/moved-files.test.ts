import { movedFilesSuite } from "./moved-files-suite.ts";

movedFilesSuite("Bun", {});
