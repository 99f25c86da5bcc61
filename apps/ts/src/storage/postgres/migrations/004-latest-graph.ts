import { CREATE_RUN } from "../functions/create-run.ts";

/** A thread's metadata name graph and assistant of its latest run, not of its first. */
export const LATEST_GRAPH: string = CREATE_RUN;
