/** A condition on an object's metadata, from an auth handler: all keys must match. */
export type MetadataFilter = Readonly<
  Record<string, string | { $eq: string } | { $contains: string | readonly string[] }>
>;

/**
 * Who asks, and what they may see. Every port call takes one; an object outside the scope looks absent.
 * Without authentication everybody is `anonymous` of tenant `default`.
 */
export interface AuthScope {
  readonly tenant: string;
  readonly owner: string;
  readonly permissions: readonly string[];
  readonly filters: MetadataFilter | undefined;
}

export const ANONYMOUS: AuthScope = Object.freeze({
  tenant: "default",
  owner: "anonymous",
  permissions: Object.freeze([]) as readonly string[],
  filters: undefined,
});
