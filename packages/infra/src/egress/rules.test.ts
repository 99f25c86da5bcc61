import { describe, expect, it } from "bun:test";
import { EgressError, type EgressOptions, EgressRules, egressProblem } from "./rules.ts";

const DNS: Record<string, string[]> = {
  "public.example": ["93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
  "mixed.example": ["93.184.216.34", "10.0.0.7"],
  "inside.example": ["10.0.0.7"],
  "mapped.example": ["::ffff:127.0.0.1"],
  "llm.corp.example": ["10.1.2.3"],
  localhost: ["127.0.0.1", "::1"],
};
const lookup = async (name: string) => DNS[name] ?? Promise.reject(new Error(`ENOTFOUND ${name}`));

/** The addresses, or what is said against the URL. */
async function verdict(url: string, options: EgressOptions = {}): Promise<string> {
  try {
    return (await new EgressRules({ lookup, ...options }).addresses(new URL(url))).join(" ");
  } catch (error) {
    if (!(error instanceof EgressError)) throw error;
    return error.message;
  }
}

describe("A URL from a request", () => {
  it("may be called on a public host, at its checked addresses", async () => {
    expect(await verdict("https://public.example/v1")).toBe("93.184.216.34 2606:2800:21f:cb07:6820:80da:af6b:8b2c");
    expect(await verdict("https://public.example:8443/v1")).toContain("93.184.216.34");
    expect(await verdict("https://1.1.1.1/")).toBe("1.1.1.1");
    expect(await verdict("https://[2606:4700::1111]/")).toBe("2606:4700::1111");
  });

  it.each([
    ...["127.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0.0.0.0", "10.0.0.1", "172.16.1.1"],
    ...["192.168.1.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "192.0.0.192", "192.0.2.1", "198.18.0.1"],
    ...["168.63.129.16", "192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "①②⑦.0.0.1"],
    ...["[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"],
    ...["[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]"],
    ...["[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]"],
  ])("is refused when its host is %s", async (host) => {
    expect(await verdict(`https://${host}/`)).toContain("is no public address; the server does not call it");
  });

  it.each([
    "localhost",
    "a.localhost",
    "LOCALHOST.",
    "printer.local",
    "metadata.google.internal",
    "db",
    "nas.home.arpa",
  ])("is refused when its host is the local name %s", async (host) => {
    expect(await verdict(`https://${host}/`)).toContain("names a host of the local network");
  });

  it("is refused when any address of its host is not public, which is not told", async () => {
    for (const host of ["mixed.example", "inside.example", "mapped.example"]) {
      const said = await verdict(`https://${host}/secret?key=1`);
      expect(said).toBe(
        `https://${host} leads to an address that is not public; the server does not call it. ` +
          "FRACTAL_EGRESS_ALLOW names the hosts that may be called although they are not public.",
      );
    }
    expect(await verdict("https://nowhere.example/")).toBe("The host of https://nowhere.example cannot be found");
  });

  it("is refused without TLS, on unusual ports, with credentials, and with other schemes", async () => {
    expect(await verdict("http://public.example/")).toContain("is not https");
    expect(await verdict("https://public.example:22/")).toContain("names port 22");
    expect(await verdict("https://public.example:6379/")).toContain("names port 6379");
    const credentials = await verdict("https://user:hunter22@public.example/", { allow: ["public.example"] });
    expect(credentials).toContain("has a user name or a password in it");
    expect(credentials).not.toContain("hunter22");
    expect(await verdict("ftp://public.example/", { allow: ["public.example"] })).toContain("is no https URL");
    expect(await verdict("file:///etc/passwd")).toContain("is no https URL");
  });

  it("may be called inside where the operator allows the name, the names below a suffix, the address or the range", async () => {
    expect(await verdict("http://llm.corp.example:8000/v1", { allow: ["llm.corp.example"] })).toBe("10.1.2.3");
    expect(await verdict("http://llm.corp.example:8000/v1", { allow: [".corp.example"] })).toBe("10.1.2.3");
    expect(await verdict("http://llm.corp.example:8000/v1", { allow: ["10.1.0.0/16"] })).toBe("10.1.2.3");
    expect(await verdict("http://127.0.0.1:11434/v1", { allow: ["127.0.0.1"] })).toBe("127.0.0.1");
    expect(await verdict("http://localhost:11434/v1", { allow: ["localhost"] })).toBe("127.0.0.1 ::1");
    expect(await verdict("http://localhost:11434/v1", { allow: ["127.0.0.0/8", "::1"] })).toBe("127.0.0.1 ::1");
    expect(await verdict("http://localhost:11434/v1", { allow: ["127.0.0.0/8"] })).toContain("is not https");
    expect(await verdict("http://[::ffff:127.0.0.1]/", { allow: ["127.0.0.1"] })).toBe("::ffff:7f00:1");
    expect(await verdict("https://evilcorp.example/", { allow: [".corp.example"] })).toContain("cannot be found");
    expect(await verdict("https://inside.example/", { allow: ["10.1.0.0/16"] })).toContain("not public");
  });

  it("may be called where the operator's configuration names that very endpoint, and on no other port of it", async () => {
    const operatorUrls = ["http://127.0.0.1:11434/v1", "no url"];
    expect(await verdict("http://127.0.0.1:11434/other", { operatorUrls })).toBe("127.0.0.1");
    expect(await verdict("http://127.0.0.1:5432/", { operatorUrls })).toContain("is not https");
  });
});

describe("FRACTAL_EGRESS_ALLOW", () => {
  it("takes names, suffixes, addresses and ranges, and nothing that looks like more", () => {
    for (const entry of ["llm", "a.b.example", ".b.example", "*.b.example", "10.0.0.0/8", "::1", "[::1]", "fd00::/8"]) {
      expect([entry, egressProblem(entry)]).toEqual([entry, undefined]);
    }
    for (const entry of ["*", "http://a.example", "a.example:8000", "10.0.0.0/99", "a/b", "a b"]) {
      expect([entry, egressProblem(entry)]).toEqual([entry, expect.stringContaining("must be names")]);
    }
  });
});
