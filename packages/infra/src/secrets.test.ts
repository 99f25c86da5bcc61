import { describe, expect, it } from "bun:test";
import { isSecretKey, MASK, maskSecrets, unmaskSecrets } from "./secrets.ts";

const stored = {
  base_url: "https://a.example/v1",
  custom_api_key: "s1",
  apiKeys: { OPENAI_API_KEY: "s2" },
  servers: [{ url: "https://m.example", headers: { Authorization: "s3" } }],
  max_tokens: 5,
};

describe("A secret", () => {
  it("is known by its key", () => {
    for (const key of ["custom_api_key", "apiKeys", "OPENAI_API_KEY", "x-api-key", "Authorization", "Set-Cookie"])
      expect([key, isSecretKey(key)]).toEqual([key, true]);
    for (const key of ["client_secret", "DB_PASSWORD", "refresh_tokens", "access_token", "sentry_dsn", "privateKey"])
      expect([key, isSecretKey(key)]).toEqual([key, true]);
    for (const key of ["max_tokens", "tokens", "token_budget", "keyboard", "author", "secretary", "key"])
      expect([key, isSecretKey(key)]).toEqual([key, false]);
  });

  it("is masked at any depth, whole, and without a change to what is stored", () => {
    const before = structuredClone(stored);
    const masked = maskSecrets(stored);
    expect(masked).toEqual({
      base_url: "https://a.example/v1",
      custom_api_key: MASK,
      apiKeys: { OPENAI_API_KEY: MASK },
      servers: [{ url: "https://m.example", headers: { Authorization: MASK } }],
      max_tokens: 5,
    });
    expect(stored).toEqual(before);
    const plain = { model: "m", list: [{ a: 1 }], api_key: "", when: new Date(0) };
    expect(maskSecrets(plain)).toBe(plain);
  });

  it("comes back where its mask is sent back, beside whatever else has changed", () => {
    const sent = { ...maskSecrets(stored), max_tokens: 9, note: MASK };
    expect(unmaskSecrets(sent, stored)).toEqual({ value: { ...stored, max_tokens: 9, note: MASK }, stray: [] });
  });

  it("does not come back for another endpoint, another place, or where none is stored", () => {
    const masked = maskSecrets(stored);
    expect(unmaskSecrets({ ...masked, base_url: "https://evil.example" }, stored).stray).toEqual([
      ...["custom_api_key", "apiKeys.OPENAI_API_KEY", "servers.0.headers.Authorization"],
    ]);
    const moved = { servers: [{ ...masked.servers[0], url: "https://evil.example" }] };
    expect(unmaskSecrets(moved, stored).stray).toEqual(["servers.0.headers.Authorization"]);
    const swapped = { servers: [{ url: "https://new.example" }, masked.servers[0]] };
    expect(unmaskSecrets(swapped, stored).stray).toEqual(["servers.1.headers.Authorization"]);
    expect(unmaskSecrets({ password: MASK }, stored).stray).toEqual(["password"]);
    expect(unmaskSecrets({ custom_api_key: MASK }, undefined).stray).toEqual(["custom_api_key"]);
    expect(unmaskSecrets(JSON.parse(`{"__proto__":{"token":"${MASK}"}}`), {}).stray).toEqual(["__proto__.token"]);
  });
});
