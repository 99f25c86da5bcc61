import { tool } from "@langchain/core/tools";
import { z } from "zod";
import { evaluate } from "./arithmetic.ts";

const CalculatorInput = z.object({
  expression: z.string().describe("Arithmetic to work out, for example 12 * (3 + 4) or sqrt(2) ^ 2"),
});

/** Answers `<expression> = <value>`; throws with the reason when there is none, which the model gets to read. */
export const calculator = tool(
  ({ expression }: z.infer<typeof CalculatorInput>) => {
    const result = evaluate(expression);
    if ("error" in result) throw new Error(`Cannot calculate "${expression.slice(0, 100)}": ${result.error}`);
    // Fractions are cut to the 15 digits that a double holds reliably: 0.1 + 0.2 reads 0.3.
    const value = Number.isInteger(result.value) ? result.value : Number(result.value.toPrecision(15));
    return `${expression.trim()} = ${value}`;
  },
  {
    name: "calculator",
    description:
      "Works out arithmetic exactly as written: + - * / % ^, brackets, pi, e, abs, ceil, floor, ln, log10, max, min, round, sqrt.",
    schema: CalculatorInput,
  },
);
