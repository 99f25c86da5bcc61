import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { giveToServer, serverFolder } from "../servers/kept-process.ts";
import { PostgresServer, postgresAvailable } from "../servers/postgres.ts";
import { runDoctor, runMigrate } from "./database-world.ts";
import { shim } from "./fractal.ts";

const noPostgres = await postgresAvailable();
const noOpenssl = spawnSync("openssl", ["version"]).status === 0 ? undefined : "openssl is not installed";
const missing = noPostgres ?? noOpenssl;

let dir: string;
let folder: string;
let server: PostgresServer;

/** A certificate for "localhost" that is its own authority. */
function makeCertificate(name: string): { certificate: string; key: string } {
  const [certificate, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate];
  const { status, stderr } = spawnSync("openssl", [...made, ...subject], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return { certificate, key };
}

describe.skipIf(missing !== undefined)(`a database that is reached over TLS (${missing ?? "found"})`, () => {
  let certificate: string;
  let other: string;
  let url: string;
  const at = (host: string, parameters: string) => `${url.replace("127.0.0.1", host)}?${parameters}`;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "fractal-tls-"));
    const made = makeCertificate("server");
    certificate = made.certificate;
    other = makeCertificate("other").certificate;
    folder = serverFolder("tls");
    const settings: Record<string, string> = { ssl: "on" };
    for (const [setting, path] of [
      ["ssl_cert_file", made.certificate],
      ["ssl_key_file", made.key],
    ] as const) {
      const copy = join(folder, setting);
      copyFileSync(path, copy);
      giveToServer(copy, 0o600);
      settings[setting] = `'${copy}'`;
    }
    server = await PostgresServer.start({ settings });
    url = await server.createDatabase();
  }, 60_000);

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    for (const path of [dir, folder]) if (path !== undefined) rmSync(path, { recursive: true, force: true });
  });

  it("is checked as sslmode says, with the meaning that PostgreSQL gives it", async () => {
    for (const [host, parameters, code, said] of [
      ["localhost", `sslmode=verify-full&sslrootcert=${certificate}`, 0, "fractal"],
      ["127.0.0.1", `sslmode=verify-full&sslrootcert=${certificate}`, 78, "is for another host"],
      ["127.0.0.1", `sslmode=verify-ca&sslrootcert=${certificate}`, 0, "fractal"],
      ["127.0.0.1", `sslmode=verify-ca&sslrootcert=${other}`, 78, "authority that is not known here"],
      ["127.0.0.1", `sslmode=require&sslrootcert=${other}`, 78, "authority that is not known here"],
      ["localhost", "sslmode=verify-full", 78, "authority that is not known here"],
      ["127.0.0.1", "sslmode=require", 0, "fractal"],
      ["127.0.0.1", "sslmode=prefer", 0, "fractal"],
      ["127.0.0.1", `sslmode=no-verify&sslrootcert=${other}`, 0, "fractal"],
      ["127.0.0.1", "sslmode=disable", 0, "fractal"],
    ] as const) {
      const { out, err, ...ended } = await runMigrate({ DATABASE_URL: at(host, parameters) }, dir);
      expect([parameters, ended.code, `${out}${err}`]).toEqual([parameters, code, expect.stringContaining(said)]);
    }
  });

  it("is warned about by `fractal doctor` when nobody checks who it is", async () => {
    const look = async (host: string, parameters: string) => {
      const { code, at: found } = await runDoctor({ DATABASE_URL: at(host, parameters) }, dir);
      return [code, found("database.tls")?.status as string];
    };
    expect(await look("127.0.0.1", "sslmode=require")).toEqual([0, "warn"]);
    expect(await look("127.0.0.1", "sslmode=no-verify")).toEqual([0, "warn"]);
    expect(await look("127.0.0.1", `sslmode=require&sslrootcert=${certificate}`)).toEqual([0, undefined as never]);
    expect(await look("localhost", `sslmode=verify-full&sslrootcert=${certificate}`)).toEqual([0, undefined as never]);
  });

  it("makes no driver warn of what its next version will do", async () => {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, DATABASE_URL: at("127.0.0.1", "sslmode=require") };
    const child = spawn("node", [shim, "migrate"], { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect([out, err]).toEqual([expect.stringContaining("the schema fractal"), ""]);
  });
});
