import { setDefaultTimeout } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { sdkSuite } from "./sdk-suite.ts";

setDefaultTimeout(30_000);

sdkSuite({ name: "langgraph-sdk 1.15.0", Client }, "bun");
