/**
 * Tables of version 1. Times are Unix ms of the database's clock (`fractal.now_ms`), and only that clock decides anything.
 *
 * Rows that a run writes often (checkpoints, writes, events) have no foreign key to their thread: each insert would lock
 * the thread's row. They are deleted with it by `fractal.purge_thread`, and the lane's fence keeps late writers out.
 */
export const TABLES = `
create function fractal.now_ms() returns bigint language sql volatile
  as $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$;

create table fractal.assistants (
  assistant_id uuid primary key,
  seq bigint generated always as identity,
  tenant text not null,
  owner text not null,
  graph_id text not null,
  name text not null,
  description text,
  version integer not null,
  created_at bigint not null,
  updated_at bigint not null,
  config json not null,
  context json not null,
  metadata jsonb not null
);
create index assistants_listed on fractal.assistants (tenant, owner, created_at, seq);

create table fractal.assistant_versions (
  assistant_id uuid not null references fractal.assistants on delete cascade,
  version integer not null,
  graph_id text not null,
  name text not null,
  description text,
  created_at bigint not null,
  config json not null,
  context json not null,
  metadata jsonb not null,
  primary key (assistant_id, version)
);

create table fractal.threads (
  thread_id uuid primary key,
  seq bigint generated always as identity,
  tenant text not null,
  owner text not null,
  hidden boolean not null,
  status text not null check (status in ('idle', 'busy', 'interrupted', 'error')),
  bound boolean not null,
  garbage boolean not null default false,
  scope text,
  ttl_strategy text,
  ttl_minutes double precision,
  expires_at bigint,
  state_updated_at bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  metadata jsonb not null,
  config json not null default '{}',
  error json
) with (fillfactor = 80);
create index threads_listed on fractal.threads (tenant, owner, created_at, seq) where not hidden;
create index threads_metadata on fractal.threads using gin (metadata jsonb_path_ops);
create index threads_expiring on fractal.threads (expires_at) where expires_at is not null;
create index threads_garbage on fractal.threads (thread_id) where garbage;

-- The state of each checkpoint scope of a thread ("" or "assistant:<id>"). Values are JSON text as it was told.
create table fractal.thread_states (
  thread_id uuid not null references fractal.threads on delete cascade,
  scope text not null,
  pending boolean not null,
  interrupts json not null,
  interrupted boolean not null,
  "values" json,
  primary key (thread_id, scope)
) with (fillfactor = 80);

-- Lock, queue entry and fencing epoch of a thread in one narrow row, which changes several times a run. Made by the
-- transaction that makes the thread, and gone with it: a writer that waited and finds no lane finds no thread either.
create table fractal.lanes (
  thread_id uuid primary key references fractal.threads on delete cascade,
  epoch bigint not null default 0,
  active uuid,
  active_seq bigint,
  worker_id text,
  writer_since bigint,
  head_seq bigint,
  head_at bigint,
  head_retry boolean not null default false,
  head_pri smallint not null default 0,
  head_vt bigint,
  head_graph text,
  ready boolean not null default false
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index lanes_ready on fractal.lanes (head_graph, head_retry desc, head_pri desc, head_vt, head_seq) where ready;
create index lanes_waiting on fractal.lanes (head_at) where not ready and head_seq is not null;
create index lanes_held on fractal.lanes (worker_id) where worker_id is not null;
create index lanes_written on fractal.lanes (writer_since) where writer_since is not null;

-- A run's log lies between its first epoch and its epoch: with the first after the last there is none any more.
create table fractal.runs (
  seq bigint generated always as identity primary key,
  run_id uuid not null unique,
  thread_id uuid not null references fractal.threads on delete cascade,
  tenant text not null,
  owner text not null,
  assistant_id uuid not null,
  graph_id text not null,
  revision text,
  status text not null check (status in ('pending', 'running', 'success', 'error', 'timeout', 'interrupted')),
  multitask_strategy text not null,
  durability text not null,
  on_completion text not null,
  stateless boolean not null,
  logged boolean not null,
  priority smallint not null default 0,
  vt bigint not null,
  run_at bigint not null,
  not_before bigint,
  attempt integer not null default 0,
  max_attempts integer not null,
  epoch bigint not null default 0,
  first_epoch bigint not null default 0,
  cancel_action text check (cancel_action in ('interrupt', 'rollback')),
  cancel_at bigint,
  idempotency_key text,
  created_at bigint not null,
  updated_at bigint not null,
  started_at bigint,
  ended_at bigint,
  finished boolean not null default false,
  metadata jsonb not null,
  error json,
  kwargs json not null
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- The last line of defence: two running runs of a thread cannot be stored.
create unique index runs_running on fractal.runs (thread_id) where status = 'running';
create index runs_pending on fractal.runs (thread_id, run_at, seq) where status = 'pending';
create index runs_of_thread on fractal.runs (thread_id, seq);
create index runs_cancelled on fractal.runs (cancel_at) where status = 'running' and cancel_action is not null;
create unique index runs_idempotent on fractal.runs (tenant, owner, idempotency_key) where idempotency_key is not null;

create function fractal.keep_final() returns trigger language plpgsql as $$
begin
  raise exception 'the status of a finished run is final';
end $$;
create trigger runs_final before update of status on fractal.runs for each row
  when (old.status not in ('pending', 'running') and new.status is distinct from old.status)
  execute function fractal.keep_final();

create table fractal.run_events (
  thread_id uuid not null,
  epoch bigint not null,
  n integer not null,
  at bigint not null,
  run_id uuid,
  data text not null,
  primary key (thread_id, epoch, n)
);
create index run_events_old on fractal.run_events (at);

create table fractal.checkpoints (
  thread_id uuid not null,
  ns text collate "C" not null,
  checkpoint_id text collate "C" not null,
  epoch bigint not null,
  run_id uuid,
  parent_id text collate "C",
  metadata text not null,
  blobs json not null,
  checkpoint text not null,
  inline bytea not null,
  primary key (thread_id, ns, checkpoint_id)
);

create table fractal.checkpoint_blobs (
  thread_id uuid not null,
  ns text collate "C" not null,
  channel text collate "C" not null,
  version text collate "C" not null,
  type text not null,
  value bytea not null,
  primary key (thread_id, ns, channel, version)
);

create table fractal.checkpoint_writes (
  thread_id uuid not null,
  ns text collate "C" not null,
  checkpoint_id text collate "C" not null,
  task_id text collate "C" not null,
  idx integer not null,
  epoch bigint not null,
  run_id uuid,
  task_path text collate "C" not null,
  channel text not null,
  type text not null,
  value bytea not null,
  primary key (thread_id, ns, checkpoint_id, task_id, idx, epoch)
);

create table fractal.store_items (
  tenant text not null,
  owner text not null,
  namespace text collate "C" not null,
  key text collate "C" not null,
  seq bigint generated always as identity,
  ttl_minutes double precision,
  expires_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  value json not null,
  primary key (tenant, owner, namespace, key)
);
create index store_items_expiring on fractal.store_items (expires_at) where expires_at is not null;

create table fractal.workers (
  worker_id text primary key,
  instance text not null,
  role text not null,
  version text not null,
  capacity integer not null,
  draining boolean not null default false,
  started_at bigint not null,
  expires_at bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
`;

/** Large values are packed faster, and as well, by LZ4 where the server has it. */
export const COMPRESSION = `
do $$
begin
  alter table fractal.runs alter column kwargs set compression lz4;
  alter table fractal.thread_states alter column "values" set compression lz4;
  alter table fractal.run_events alter column data set compression lz4;
  alter table fractal.checkpoints alter column inline set compression lz4, alter column checkpoint set compression lz4;
  alter table fractal.checkpoint_blobs alter column value set compression lz4;
  alter table fractal.checkpoint_writes alter column value set compression lz4;
exception when feature_not_supported or invalid_parameter_value then
  null;
end $$;
`;
