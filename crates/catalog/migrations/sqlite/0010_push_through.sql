-- 1: what is written here goes to the upstream as well.
ALTER TABLE upstreams ADD COLUMN push_through INTEGER NOT NULL DEFAULT 0;
-- The generation up to which it is known whether branches and tags moved; those that did have a job.
ALTER TABLE upstreams ADD COLUMN push_seen INTEGER NOT NULL DEFAULT 0;
-- The generation whose branches and tags the upstream has.
ALTER TABLE upstreams ADD COLUMN push_done INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upstreams ADD COLUMN pushed_at_ms INTEGER;
ALTER TABLE upstreams ADD COLUMN push_error TEXT;
CREATE INDEX upstreams_push_through ON upstreams (repo_id) WHERE push_through = 1;
