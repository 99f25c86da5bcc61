/** Names the one holder of a thread's lane. A write whose fence is not the lane's current one is refused. */
export interface Fence {
  readonly threadId: string;
  readonly runId: string;
  readonly epoch: number;
}
