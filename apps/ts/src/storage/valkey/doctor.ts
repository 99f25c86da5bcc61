import { Redis } from "ioredis";
import type { Finding } from "#core/diagnosis";

const TIMEOUT_MS = 3_000;
const FLOOR = 7;

/** Looks at a Valkey or Redis server. @param where Its address without the password. Never rejects. */
export async function examineValkey(url: string, where: string): Promise<Finding[]> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
  });
  let broken: Error | undefined;
  // The rejection of connect() says only that the connection is closed; the event says why.
  redis.on("error", (error) => {
    broken = error;
  });
  try {
    await redis.connect();
    return await findings(redis, where);
  } catch (error) {
    return [unusable(broken ?? (error as Error), where)];
  } finally {
    redis.disconnect();
  }
}

async function findings(redis: Redis, where: string): Promise<Finding[]> {
  const startedAt = performance.now();
  await redis.ping();
  const ms = Math.round(performance.now() - startedAt);
  const info = parseInfo(await redis.info());
  return [
    { id: "redis.reachable", status: "ok", text: `Valkey or Redis at ${where} answers in ${ms} ms` },
    version(info),
    eviction(info),
    await writes(redis),
  ];
}

function version(info: ReadonlyMap<string, string>): Finding {
  const valkey = info.get("valkey_version");
  const number = valkey ?? info.get("redis_version") ?? "";
  const name = `${valkey === undefined ? "Redis" : "Valkey"} ${number}`;
  const major = Number.parseInt(number, 10);
  if (major >= FLOOR) return { id: "redis.version", status: "ok", text: name };
  return {
    id: "redis.version",
    status: "fail",
    text: `${name} is too old`,
    advice: `Use version ${FLOOR} or newer, or unset REDIS_URI.`,
  };
}

/** An evicted stream is a hole in somebody's live events; they are made good from the database, more slowly. */
function eviction(info: ReadonlyMap<string, string>): Finding {
  const policy = info.get("maxmemory_policy") ?? "unknown";
  if (!policy.startsWith("allkeys"))
    return { id: "redis.eviction", status: "ok", text: `maxmemory-policy is ${policy}` };
  return {
    id: "redis.eviction",
    status: "warn",
    text: `maxmemory-policy is ${policy}: live streams may be thrown away while they are read`,
    advice: "Set it to noeviction or to a volatile- policy.",
  };
}

async function writes(redis: Redis): Promise<Finding> {
  const key = `fractal:doctor:${crypto.randomUUID()}`;
  try {
    await redis.xadd(key, "*", "looked", "1");
    await redis.expire(key, 60);
    await redis.publish(key, "1");
    return { id: "redis.writes", status: "ok", text: "Streams can be written and hints published" };
  } catch (error) {
    return {
      id: "redis.writes",
      status: "fail",
      text: `Streams or hints are refused: ${(error as Error).message}`,
      advice: "Use a primary, and let the user run XADD, XREAD, PUBLISH and SUBSCRIBE on fractal:* keys.",
    };
  } finally {
    // If this fails the key goes by itself after a minute.
    await redis.del(key).catch(() => 0);
  }
}

function unusable(error: Error, where: string): Finding {
  const refused = /^(?:WRONGPASS|NOAUTH|NOPERM|ERR AUTH)/.test(error.message);
  return {
    id: "redis.reachable",
    status: "fail",
    text: `Valkey or Redis at ${where} ${refused ? "refuses the user or the password" : "does not answer"}: ${error.message}`,
    advice: refused ? "Correct the user and password of REDIS_URI." : "Check that it runs and that REDIS_URI is right.",
  };
}

/** Lines of `name:value`, and headings that begin with #. */
function parseInfo(text: string): Map<string, string> {
  const entries = text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const colon = line.indexOf(":");
    return colon > 0 && !line.startsWith("#") ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
  });
  return new Map(entries);
}
