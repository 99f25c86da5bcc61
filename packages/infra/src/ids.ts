import { v5, v7 } from "uuid";

/** A new id (UUIDv7): ids made later sort later, which keeps database indexes compact. */
export function newId(): string {
  return v7();
}

/** The same name in the same namespace gives the same id (UUIDv5), on every machine and in every version. */
export function nameId(name: string, namespace: string): string {
  return v5(name, namespace);
}
