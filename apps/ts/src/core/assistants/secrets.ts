import { MASK, unmaskSecrets } from "@fractal-agents/infra/secrets";
import { RuntimeError } from "#core/errors";
import type { JsonObject, RunConfig } from "#schemas/common";

interface Given {
  config?: RunConfig | null | undefined;
  context?: JsonObject | null | undefined;
}

/**
 * A configuration in which masks stand for the secrets that `stored` holds, as clients send back what they have read.
 * RuntimeError invalid where a mask stands for nothing.
 */
export function keepSecrets<T extends Given>(given: T, stored: Given | undefined): Pick<T, "config" | "context"> {
  const { config, context } = given;
  if (!hasMasks(given)) return { config, context };
  // One thing under two names: a client may have read the one and write the other.
  const configurable = { ...stored?.context, ...stored?.config?.configurable };
  const kept = {
    config: unmaskSecrets(config, { ...stored?.config, configurable }),
    context: unmaskSecrets(context, configurable),
  };
  const stray = [
    ...kept.config.stray.map((path) => `config.${path}`),
    ...kept.context.stray.map((path) => `context.${path}`),
  ];
  if (stray.length > 0) {
    throw new RuntimeError(
      "invalid",
      `${stray.join(", ")}: "${MASK}" stands for a secret that is stored, and none is stored for this endpoint; ` +
        "send the secret itself, or leave the key out",
    );
  }
  return { config: kept.config.value, context: kept.context.value };
}

/** Whether any text is a mask; where it stands is for `keepSecrets` to judge. */
export function hasMasks({ config, context }: Given): boolean {
  return holds(config) || holds(context);
}

function holds(value: unknown): boolean {
  if (value === MASK) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holds);
}
