import { describe, expect, it } from "bun:test";
import { loadConfig } from "#config";
import { tempProject } from "../graphs/temp-project.ts";

describe("the environment of graph code", () => {
  it("is what the env files say, empty values and spaces too: an empty one was undefined", async () => {
    await using project = await tempProject(
      {
        "langgraph.json": JSON.stringify({ graphs: {}, env: "./my.env" }),
        "my.env": "EMPTY=\nPREFIX='json > '\nSET=\nUNSET=file\nPORT=\n",
        ".env": "PREFIX=\nQUOTED=''\nINDENT='  '\n",
      },
      { packages: false },
    );
    const env = { SET: "process", UNSET: "" };
    const { environment, fileEnvironment } = loadConfig({ env, cwd: project.folder });
    expect(environment).toEqual({ SET: "process", UNSET: "file", PREFIX: "json >" });
    expect(fileEnvironment).toEqual({
      UNSET: "file",
      EMPTY: "",
      PREFIX: "json > ",
      PORT: "",
      QUOTED: "",
      INDENT: "  ",
    });
  });

  it("has the empty values of a map in langgraph.json", async () => {
    const document = JSON.stringify({ graphs: {}, env: { EMPTY: "" } });
    await using project = await tempProject({ "langgraph.json": document }, { packages: false });
    expect(loadConfig({ env: {}, cwd: project.folder }).fileEnvironment).toEqual({ EMPTY: "" });
  });
});
