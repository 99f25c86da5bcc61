import { z } from "@hono/zod-openapi";
import { onlyStored } from "./common.ts";
import { filterProblem } from "./limits.ts";

const bounded = () =>
  z.record(z.string(), z.unknown()).superRefine((filter, context) => {
    const message = filterProblem(filter);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });

/** An object that the values of rows are compared with. */
export const Filter = bounded();

/** The same for what is only stored: its numbers keep their value. */
export const StoredFilter = onlyStored(bounded());
