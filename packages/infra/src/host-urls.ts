const PARTS = /^(postgres(?:ql)?:\/\/)(?:([^/?#]*)@)?([^/?#]*)(.*)$/is;

/**
 * The URLs of a connection string, one for each host that it names, in its order: PostgreSQL's own clients take several,
 * `postgres://u:p@one:5432,two:5433/db` or `?host=one,two&port=5432,5433`. Empty when it is no valid URL.
 */
export function hostUrls(url: string): string[] {
  const [, scheme, user, list = "", rest = ""] = PARTS.exec(url) ?? [];
  const from = scheme === undefined ? [url] : list.split(",").map((host) => withHost({ scheme, user, rest }, host));
  const urls = from.flatMap(ofParameters);
  return urls.every((each) => URL.canParse(each)) ? urls : [];
}

function withHost(parts: { scheme: string; user: string | undefined; rest: string }, host: string): string {
  return `${parts.scheme}${parts.user === undefined ? "" : `${parts.user}@`}${host}${parts.rest}`;
}

/** One port is that of all hosts; otherwise there must be as many as hosts. */
function ofParameters(url: string): string[] {
  const parsed = URL.parse(url);
  const hosts = parsed?.searchParams.get("host")?.split(",") ?? [];
  if (parsed === null || hosts.length < 2) return [url];
  const ports = parsed.searchParams.get("port")?.split(",") ?? [];
  if (ports.length > 1 && ports.length !== hosts.length) return [""];
  return hosts.map((host, index) => {
    const one = new URL(parsed);
    one.searchParams.set("host", host);
    const port = ports.length > 1 ? ports[index] : ports[0];
    if (port !== undefined) one.searchParams.set("port", port);
    return one.href;
  });
}
