import { describe, expect, it } from "bun:test";
import { evaluate } from "./arithmetic.ts";
import { calculator } from "./calculator.ts";

const value = (expression: string) => {
  const result = evaluate(expression);
  return "value" in result ? result.value : result.error;
};

describe("arithmetic", () => {
  it("binds operators as mathematics does", () => {
    expect(value("2 + 3 * 4")).toBe(14);
    expect(value("(2 + 3) * 4")).toBe(20);
    expect(value("10 - 4 - 3")).toBe(3);
    expect(value("7 % 4 * 2")).toBe(6);
    expect(value("-2^2")).toBe(-4);
    expect(value("2^3^2")).toBe(512);
    expect(value("2 ** -1")).toBe(0.5);
    expect(value("- - 3")).toBe(3);
  });

  it("reads decimals, exponents, constants and functions", () => {
    expect(value("1.5e3 + .5")).toBe(1500.5);
    expect(value("max(1, min(5, 9), 3)")).toBe(5);
    expect(value("sqrt(16) + abs(-2)")).toBe(6);
    expect(value("round(PI * 100)")).toBe(314);
  });

  it("says what is wrong instead of giving a number", () => {
    expect(value("1 +")).toBe("unexpected end");
    expect(value("(1 + 2")).toBe('unexpected end, expected ")"');
    expect(value("1 $ 2")).toBe('unexpected "$" at position 2');
    expect(value("1 2")).toBe('unexpected "2"');
    expect(value("4 / (2 - 2)")).toBe("division by zero");
    expect(value("5 % 0")).toBe("division by zero");
    expect(value("sqrt(-1)")).toBe("the result is not a finite number");
    expect(value("10^400")).toBe("the result is not a finite number");
    expect(value("")).toBe("unexpected end");
  });

  it("never runs the text as code", () => {
    expect(value("process.exit(1)")).toContain('unexpected "."');
    expect(value("constructor(1)")).toContain('unknown name "constructor"');
    expect(value("toString")).toContain('unknown name "tostring"');
    expect(value("`1`")).toContain("unexpected");
  });

  it("bounds length and nesting", () => {
    expect(value("1+".repeat(600))).toContain("longer than 1000");
    expect(value(`${"(".repeat(400)}1${")".repeat(400)}`)).toContain("nested deeper");
    expect(value("-".repeat(900))).toContain("nested deeper");
    expect(value(`${"2^".repeat(300)}1`)).toContain("nested deeper");
  });

  it("gives the calculator's answer without floating point noise", async () => {
    expect(await calculator.invoke({ expression: " 0.1 + 0.2 " })).toBe("0.1 + 0.2 = 0.3");
    expect(await calculator.invoke({ expression: "2^53" })).toBe("2^53 = 9007199254740992");
  });
});
