import { describe, expect, it } from "bun:test";
import { graphsOf, tempProject } from "../graphs/temp-project.ts";
import { runDoctor } from "./database-world.ts";

const WORKING = `
  import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
  import { getLogger } from "@langchain/langgraph-sdk/logging";
  getLogger().info("loading");
  const answer = () => ({ messages: [] });
  export const graph = new StateGraph(MessagesAnnotation).addNode("a", answer).addEdge("__start__", "a").compile();
`;

describe("fractal doctor of a project", () => {
  it("loads each graph and fails for those that do not load: with the only graph broken all was good", async () => {
    await using project = await tempProject({
      "good.ts": WORKING,
      "bad.ts": 'import "no-such-package"; export const graph = 1;',
      "factory.ts": 'export function graph() { throw new Error("no model here"); }',
      "langgraph.json": graphsOf({
        good: "./good.ts:graph",
        bad: "./bad.ts:graph",
        factory: "./factory.ts:graph",
        absent: "./absent.ts:graph",
      }),
    });
    const { code, ok, at } = await runDoctor({}, project.folder);
    expect([code, ok]).toEqual([1, false]);
    expect(at("project")).toMatchObject({ status: "ok", text: `The project is ${project.folder}/langgraph.json` });
    expect(at("graphs.good")).toEqual({
      id: "graphs.good",
      status: "ok",
      text: 'Graph "good" loads (./good.ts:graph)',
    });
    for (const [id, why] of [
      ["bad", "no-such-package"],
      ["factory", "no model here"],
      ["absent", "there is no file"],
    ]) {
      const { status, text = "" } = at(`graphs.${id}`) ?? {};
      expect([id, status, text.includes(`"${id}"`), text.includes(why as string)]).toEqual([id, "fail", true, true]);
    }
  });

  it("says where a folder without langgraph.json is, and that the demonstration agent is served there", async () => {
    await using project = await tempProject({}, { packages: false });
    const { code, at } = await runDoctor({ MODEL_NAME: "" }, project.folder);
    expect(at("project")?.text).toBe(
      `There is no langgraph.json in ${project.folder}: the demonstration agent is served`,
    );
    expect([code, at("graphs.agent")?.status, at("model")?.status]).toEqual([0, "ok", "warn"]);
  });

  it("names the model, and what it lacks", async () => {
    await using project = await tempProject({}, { packages: false });
    const model = async (env: Record<string, string>) => {
      const { code, at } = await runDoctor(env, project.folder);
      return [code, at("model")?.status, at("model")?.text];
    };
    expect(await model({})).toEqual([0, "ok", "Model fake:demo"]);
    expect(await model({ MODEL_NAME: "openai:gpt-4o" })).toEqual([
      1,
      "fail",
      "Model openai:gpt-4o: OPENAI_API_KEY is not set",
    ]);
    expect(await model({ MODEL_NAME: "openai:gpt-4o", OPENAI_API_KEY: "sk-12345678" })).toEqual([
      0,
      "ok",
      "Model openai:gpt-4o: what it needs is set and installed",
    ]);
    expect(await model({ MODEL_NAME: "nobody:x" })).toMatchObject([1, "fail", expect.stringContaining('"nobody"')]);
    expect(await model({ MODEL_NAME: "", NODE_ENV: "production" })).toMatchObject([1, "fail", expect.any(String)]);
  });

  it("warns of a key that the code of a graph needs, and takes it from .env", async () => {
    const files = {
      "agent.ts": `import { ChatOpenAI } from "@langchain/openai"; void ChatOpenAI; ${WORKING}`,
      "langgraph.json": graphsOf({ agent: "./agent.ts:graph" }),
    };
    await using without = await tempProject(files);
    const lacking = await runDoctor({}, without.folder);
    expect(lacking.at("keys.OPENAI_API_KEY")).toEqual({
      id: "keys.OPENAI_API_KEY",
      status: "warn",
      text: 'Graph "agent": the code names OpenAI, but OPENAI_API_KEY is not set',
      advice: "Set OPENAI_API_KEY in the environment or in .env",
    });
    await using having = await tempProject({ ...files, ".env": "OPENAI_API_KEY=sk-12345678\n" });
    const found = await runDoctor({}, having.folder);
    expect(found.at("keys.OPENAI_API_KEY")?.status).toBe("ok");
    expect(JSON.stringify(found.checks)).not.toContain("sk-12345678");
  });
});
