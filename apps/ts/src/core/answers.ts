import { RuntimeError } from "#core/errors";

const MB = 1024 * 1024;

/**
 * A list that would be larger than the server answers. The page is refused whole: a client could not tell one that was cut
 * short from the last one. One row alone is always answered.
 */
export function answerTooLarge(bytes: number, most: number, remedy = "ask for less with limit"): RuntimeError {
  const text = `The answer would have about ${Math.ceil(bytes / MB)} MB, the most is ${Math.floor(most / MB)} MB`;
  return new RuntimeError("invalid", `${text}: ${remedy}`);
}

/** Large answers are made one after the other: each takes several times its size in memory while it is made. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
