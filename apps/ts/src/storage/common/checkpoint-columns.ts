import type { CheckpointWriter, Encoded } from "#core/checkpoints/repository";
import type { JsonObject } from "#schemas/common";
import { inlineChannels, unpackInline } from "./inline-values.ts";
import { parseObject } from "./run-rows.ts";

/** The values of a checkpoint as its row has them: small ones, and the versions of large ones. */
interface ValueColumns {
  blobs: string;
  inline: Uint8Array;
}

export interface RowValues {
  inline: Record<string, Encoded>;
  /** Channel to version. */
  blobs: Record<string, string>;
  /** What is wrong with the row. Other checkpoints are read all the same. */
  damage: string | undefined;
}

export function readValues(row: ValueColumns): RowValues {
  const damage: string[] = [];
  const read = <T extends object>(what: string, parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      damage.push(`${what} cannot be read: ${(error as Error).message}`);
      return {} as T;
    }
  };
  const inline = read("the row's small values", () => unpackInline(row.inline));
  const blobs = read("the row's list of large values", () => parseObject(row.blobs) as Record<string, string>);
  return { inline, blobs, damage: damage.length === 0 ? undefined : damage.join("; ") };
}

/** Channels whose values stand with this checkpoint, as far as its row can be read. */
export function channelsIn(row: ValueColumns): string[] {
  try {
    return [...Object.keys(parseObject(row.blobs)), ...inlineChannels(row.inline)];
  } catch {
    return [];
  }
}

/** A checkpoint's metadata; undefined when it cannot be read. */
export function readMetadata(metadata: string): JsonObject | undefined {
  try {
    return parseObject(metadata);
  } catch {
    return undefined;
  }
}

/** LangGraph counts, per delta channel, the steps since its value was last stored whole. */
/** The graph and the assistant that the metadata names. */
export function writerOf(metadata: string): CheckpointWriter | undefined {
  const known = readMetadata(metadata);
  if (known === undefined) return undefined;
  const { graph_id, assistant_id } = known;
  return {
    ...(typeof graph_id === "string" && { graph_id }),
    ...(typeof assistant_id === "string" && { assistant_id }),
  };
}

export function deltaChannels(metadata: string): string[] {
  const known = readMetadata(metadata);
  // No checkpoint stores this one: where nothing is known, every ancestor is needed.
  if (known === undefined) return [""];
  const counters = known.counters_since_delta_snapshot;
  return typeof counters === "object" && counters !== null ? Object.keys(counters) : [];
}
