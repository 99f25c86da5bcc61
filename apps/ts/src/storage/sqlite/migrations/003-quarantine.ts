/**
 * What is known of a run whose process died (core/runs/policy.ts), and the marks by which suspects are claimed apart.
 * `suspect_seq` says which head the lane's marks are about: with another head they mean nothing.
 */
export const QUARANTINE = `
alter table runs add column strikes integer not null default 0;
alter table runs add column restarts integer not null default 0;
alter table runs add column quarantine text;
alter table runs add column quarantine_until integer;
create index runs_quarantined on runs (quarantine) where quarantine is not null and status in ('pending', 'running');

alter table lanes add column suspect_seq integer;
alter table lanes add column suspect_group text;
alter table lanes add column suspect_at integer;
create index lanes_suspects on lanes (suspect_at) where suspect_seq = head_seq and ready = 0;
`;
