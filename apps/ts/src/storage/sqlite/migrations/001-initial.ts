/**
 * Tables of version 1. Times are Unix ms. Rows that a thread owns name it by its integer key, which keeps their
 * indexes narrow; texts that may be large stand last in their row or in a row of their own, because SQLite rewrites the
 * whole row on every update.
 *
 * Not here on purpose: a foreign key from writes to checkpoints (writes arrive first), and indexes that only
 * retention or rollback would use (each index costs a page per commit on the hot path).
 */
export const INITIAL = `
create table assistants (
  id integer primary key,
  assistant_id text not null unique,
  tenant text not null,
  owner text not null,
  graph_id text not null,
  name text not null,
  description text,
  version integer not null,
  created_at integer not null,
  updated_at integer not null,
  config text not null,
  context text not null,
  metadata text not null
) strict;
create index assistants_listed on assistants (tenant, owner, created_at, id);

create table assistant_versions (
  assistant integer not null references assistants (id) on delete cascade,
  version integer not null,
  graph_id text not null,
  name text not null,
  description text,
  created_at integer not null,
  config text not null,
  context text not null,
  metadata text not null,
  unique (assistant, version)
) strict;

create table threads (
  id integer primary key,
  thread_id text not null unique,
  tenant text not null,
  owner text not null,
  hidden integer not null,
  status text not null,
  bound integer not null,
  garbage integer not null default 0,
  scope text,
  ttl_strategy text,
  ttl_minutes real,
  expires_at integer,
  state_updated_at integer not null,
  created_at integer not null,
  updated_at integer not null,
  metadata text not null,
  config text not null default '{}',
  error text
) strict;
create index threads_listed on threads (tenant, owner, created_at, id) where hidden = 0;
create index threads_expiring on threads (expires_at) where expires_at is not null;
create index threads_garbage on threads (id) where garbage = 1;

create table thread_states (
  thread integer not null references threads (id) on delete cascade,
  scope text not null,
  pending integer not null,
  interrupts text not null,
  "values" text,
  unique (thread, scope)
) strict;

create table lanes (
  thread integer primary key references threads (id) on delete cascade,
  epoch integer not null,
  active text,
  active_seq integer,
  worker text,
  writer_since integer,
  head_seq integer,
  head_at integer,
  head_retry integer not null default 0,
  head_pri integer not null default 0,
  head_vt integer,
  head_graph text,
  ready integer not null default 0
) strict;
create index lanes_ready on lanes (head_retry desc, head_pri desc, head_vt, head_seq, head_graph) where ready = 1;
create index lanes_waiting on lanes (head_at) where ready = 0 and head_seq is not null;
create index lanes_written on lanes (writer_since) where writer_since is not null;

create table runs (
  seq integer primary key,
  run_id text not null unique,
  thread integer not null references threads (id) on delete cascade,
  tenant text not null,
  owner text not null,
  assistant_id text not null,
  graph_id text not null,
  revision text,
  status text not null,
  multitask_strategy text not null,
  durability text not null,
  on_completion text not null,
  stateless integer not null,
  logged integer not null,
  priority integer not null,
  vt integer not null,
  run_at integer not null,
  not_before integer,
  attempt integer not null default 0,
  max_attempts integer not null,
  epoch integer not null default 0,
  first_epoch integer not null default 0,
  cancel_action text,
  cancel_at integer,
  idempotency_key text,
  created_at integer not null,
  updated_at integer not null,
  started_at integer,
  ended_at integer,
  metadata text not null,
  error text
) strict;
create index runs_of_thread on runs (thread, seq);
create index runs_pending on runs (thread, run_at, seq) where status = 'pending';
create unique index runs_running on runs (thread) where status = 'running';
create unique index runs_idempotent on runs (tenant, owner, idempotency_key) where idempotency_key is not null;
create trigger runs_final before update of status on runs when old.status not in ('pending', 'running')
begin
  select raise(abort, 'the status of a finished run is final');
end;

create table run_kwargs (
  seq integer primary key references runs (seq) on delete cascade,
  kwargs text not null
) strict;

create table run_events (
  id integer primary key,
  thread integer not null references threads (id) on delete cascade,
  epoch integer not null,
  n integer not null,
  at integer not null,
  run_id text,
  data text not null,
  unique (thread, epoch, n)
) strict;

create table checkpoints (
  id integer primary key,
  thread integer not null references threads (id) on delete cascade,
  ns text not null,
  checkpoint_id text not null,
  epoch integer not null,
  run_id text,
  parent_id text,
  metadata text not null,
  blobs text not null,
  checkpoint text not null,
  inline blob not null,
  unique (thread, ns, checkpoint_id)
) strict;

create table checkpoint_blobs (
  id integer primary key,
  thread integer not null references threads (id) on delete cascade,
  ns text not null,
  channel text not null,
  version text not null,
  type text not null,
  value blob not null,
  unique (thread, ns, channel, version)
) strict;

create table checkpoint_writes (
  id integer primary key,
  thread integer not null references threads (id) on delete cascade,
  ns text not null,
  checkpoint_id text not null,
  task_id text not null,
  idx integer not null,
  epoch integer not null,
  run_id text,
  task_path text not null,
  channel text not null,
  type text not null,
  value blob not null,
  unique (thread, ns, checkpoint_id, task_id, idx, epoch)
) strict;

create table store_items (
  id integer primary key,
  tenant text not null,
  owner text not null,
  namespace text not null,
  key text not null,
  ttl_minutes real,
  expires_at integer,
  created_at integer not null,
  updated_at integer not null,
  value text not null,
  unique (tenant, owner, namespace, key)
) strict;
create index store_items_expiring on store_items (expires_at) where expires_at is not null;
`;
