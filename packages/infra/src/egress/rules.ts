import { lookup as systemLookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { hostNameProblem, hostNames } from "../host-names.ts";

/** A URL that must not be called. The message is for its sender and names no resolved address. */
export class EgressError extends Error {
  override readonly name = "EgressError";
}

export interface EgressOptions {
  /** FRACTAL_EGRESS_ALLOW: names, `.suffix`, addresses and ranges that may be called although they are not public. */
  allow?: readonly string[] | undefined;
  /** URLs of the operator's own configuration: what has their scheme, host and port may be called. */
  operatorUrls?: readonly string[] | undefined;
  /** All addresses of a name. */
  lookup?: ((name: string) => Promise<string[]>) | undefined;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = [Address, number];

const PORTS = new Set(["", "443", "8443"]);
/** Names that no public server has. */
const LOCAL_NAME = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa)$/;
const GLOBAL_V6 = ipaddr.parseCIDR("2000::/3") as [ipaddr.IPv6, number];
/** Public by its number, but answered by the host of the virtual machine: Azure's metadata and agent. */
const PLATFORM = new Set(["168.63.129.16"]);

const HINT = "FRACTAL_EGRESS_ALLOW names the hosts that may be called although they are not public";

/**
 * Says where a URL that came with a request may point: https to a public host on a usual port, and what the operator
 * allows. A server stands where its callers do not: behind the firewall, beside the database and the cloud's metadata.
 */
export class EgressRules {
  readonly #names: (name: string) => boolean;
  readonly #ranges: readonly Range[];
  readonly #origins: ReadonlySet<string>;
  readonly #lookup: (name: string) => Promise<string[]>;

  constructor({ allow = [], operatorUrls = [], lookup = lookupAll }: EgressOptions = {}) {
    const ranges = allow.map((entry) => rangeOf(entry));
    this.#names = hostNames(allow.filter((_, i) => ranges[i] === undefined));
    this.#ranges = ranges.filter((range) => range !== undefined);
    this.#origins = new Set(operatorUrls.map((url) => URL.parse(url)?.origin).filter((origin) => origin !== undefined));
    this.#lookup = lookup;
  }

  /** The addresses of the URL's host, each of which may be called. Throws EgressError. */
  async addresses(url: URL): Promise<string[]> {
    const name = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
    if (url.protocol !== "https:" && url.protocol !== "http:") throw refused(url, "is no https URL");
    if (url.username !== "" || url.password !== "") throw refused(url, "has a user name or a password in it");
    if (name === "" || name.includes("%")) throw refused(url, "names no host");
    const literal = ipaddr.isValid(name);
    const trusted = this.#origins.has(url.origin) || this.#names(name);
    const objection = trusted ? undefined : objectionTo(url, name, literal);
    if (objection !== undefined && this.#ranges.length === 0) throw refused(url, objection);
    const found = literal ? [name] : await this.#resolve(url, name);
    if (trusted) return found;
    const parsed = found.map((address) => ipaddr.process(address));
    if (parsed.every((address) => this.#ranges.some((range) => within(address, range)))) return found;
    if (objection !== undefined) throw refused(url, objection);
    if (parsed.every(isPublic)) return found;
    throw refused(url, literal ? "is no public address" : "leads to an address that is not public");
  }

  async #resolve(url: URL, name: string): Promise<string[]> {
    try {
      const found = await this.#lookup(name);
      if (found.length > 0) return found;
    } catch (cause) {
      throw new EgressError(`The host of ${shown(url)} cannot be found`, { cause });
    }
    throw new EgressError(`The host of ${shown(url)} cannot be found`);
  }
}

/** What is wrong with an entry of FRACTAL_EGRESS_ALLOW, as the end of a sentence. */
export function egressProblem(entry: string): string | undefined {
  if (entry !== "*" && (isRange(entry) || (!entry.includes("/") && hostNameProblem(entry) === undefined)))
    return undefined;
  return "must be names, .suffixes, addresses or ranges such as 10.0.0.0/8, without scheme and port";
}

/** What speaks against a host before its addresses are known. */
function objectionTo(url: URL, name: string, literal: boolean): string | undefined {
  if (url.protocol !== "https:") return "is not https";
  if (!PORTS.has(url.port)) return `names port ${url.port}; 443 and 8443 may be called`;
  if (!literal && (!name.includes(".") || LOCAL_NAME.test(name))) return "names a host of the local network";
  return undefined;
}

function isPublic(address: Address): boolean {
  if (address.range() !== "unicast" || PLATFORM.has(address.toString())) return false;
  // Addresses of other blocks carry v4 addresses or are not given out.
  return address.kind() === "ipv4" || within(address, GLOBAL_V6);
}

function within(address: Address, [network, bits]: Range): boolean {
  return address.kind() === network.kind() && (address as ipaddr.IPv4).match(network as ipaddr.IPv4, bits);
}

function isRange(entry: string): boolean {
  return ipaddr.isValidCIDR(entry) || ipaddr.isValid(entry.replace(/^\[(.*)\]$/, "$1"));
}

/** Undefined for a name. */
function rangeOf(entry: string): Range | undefined {
  if (!isRange(entry)) return undefined;
  if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry) as Range;
  const address = ipaddr.process(entry.replace(/^\[(.*)\]$/, "$1"));
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

async function lookupAll(name: string): Promise<string[]> {
  return (await systemLookup(name, { all: true, verbatim: true })).map(({ address }) => address);
}

function refused(url: URL, why: string): EgressError {
  return new EgressError(`${shown(url)} ${why}; the server does not call it. ${HINT}.`);
}

/** A query and a path may hold a key. */
function shown({ protocol, host }: URL): string {
  return `${protocol}//${host}`;
}
