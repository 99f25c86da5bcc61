import { afterAll, beforeAll } from "bun:test";
import type { Client } from "@langchain/langgraph-sdk";
import { type EngineName, eventually, SpawnedServer, type SpawnOptions } from "./spawn-server.ts";

/** A line of the SDK: older ones have the same methods, or fewer, and looser types. */
export interface SdkLine {
  name: string;
  Client: new (config: { apiUrl: string }) => Client;
}

export type Json = Record<string, unknown>;

export interface Part {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
  data: any;
  id?: string | undefined;
}

export async function all(stream: AsyncIterable<unknown>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part as Part);
  return parts;
}

export const names = (parts: readonly Part[]): string[] => parts.map(({ event }) => event);
/** Each name once, in the order of its first event. */
export const distinct = (parts: readonly Part[]): string[] => [...new Set(names(parts))];
// biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
export const dataOf = (parts: readonly Part[], event: string): any[] =>
  parts.filter((part) => part.event === event).map(({ data }) => data);

/** One server and one client of it for a whole `describe`; both are there once its tests run. */
export class SdkSession {
  readonly line: SdkLine;
  readonly engine: EngineName;
  #server: SpawnedServer | undefined;
  #client: Client | undefined;

  constructor(line: SdkLine, options: SpawnOptions = {}) {
    this.line = line;
    this.engine = options.engine ?? "bun";
    beforeAll(async () => {
      this.#server = await SpawnedServer.start(options);
      this.#client = new line.Client({ apiUrl: this.#server.url });
    });
    afterAll(() => this.#server?.[Symbol.asyncDispose]());
  }

  get server(): SpawnedServer {
    if (this.#server === undefined) throw new Error("the server is not there before the tests run");
    return this.#server;
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error("the client is not there before the tests run");
    return this.#client;
  }

  /** Whether this line of the SDK has a method at all, such as "threads.prune". */
  has(method: `${"runs" | "threads"}.${string}`): boolean {
    const [part, name] = method.split(".") as ["runs" | "threads", string];
    return name in new this.line.Client({ apiUrl: "http://127.0.0.1:1" })[part];
  }

  async thread(): Promise<string> {
    return (await this.client.threads.create()).thread_id;
  }

  /** A run's whole stream. */
  stream(threadId: string | null, graph: string, payload: Json): Promise<Part[]> {
    return all(this.open(threadId, graph, payload));
  }

  open(threadId: string | null, graph: string, payload: Json): AsyncGenerator<Part> {
    // The SDK's overloads tie threadId to the payload's type; the tests give both as data.
    return this.client.runs.stream(threadId as string, graph, payload as never) as unknown as AsyncGenerator<Part>;
  }

  async wait(threadId: string | null, graph: string, payload: Json): Promise<Json> {
    return (await this.client.runs.wait(threadId as string, graph, payload as never)) as unknown as Json;
  }

  create(threadId: string, graph: string, payload: Json) {
    return this.client.runs.create(threadId, graph, payload as never);
  }

  async status(threadId: string, runId: string): Promise<string> {
    return (await this.client.runs.get(threadId, runId)).status;
  }

  /** Resolves once the run has come to a status, and tells what it was. */
  reaches(threadId: string, runId: string, status: string): Promise<string> {
    return eventually(
      () => this.status(threadId, runId),
      (now) => now === status,
    );
  }

  async fetchJson(path: string, init?: RequestInit): Promise<Json> {
    return (await (await fetch(this.server.url + path, init)).json()) as Json;
  }
}
