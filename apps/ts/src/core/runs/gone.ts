import { RuntimeError } from "#core/errors";
import type { RunEnvironment } from "./prepare.ts";
import type { RunRecord } from "./repository.ts";

/**
 * What the readers of a run get that this process knows and the database does not have. Undefined: it was taken away on
 * purpose, by a rollback, and the thread is as it was before it. Rejects with RuntimeError unavailable while the database
 * cannot say who it is.
 * @param since The timeline's number when the run was there.
 */
export async function whyGone(
  { storage }: Pick<RunEnvironment, "storage">,
  run: RunRecord,
  since: number,
): Promise<RuntimeError | undefined> {
  if ((await storage.timeline.confirm()) === since) return undefined;
  const { run_id } = run;
  return new RuntimeError("unavailable", `Run ${run_id} was lost: another server took the place of the database`);
}
