-- One row for each kind and key: the newest request, and what became of it.
CREATE TABLE jobs (
    id BIGINT PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    org_id BIGINT NOT NULL,
    repo_id BIGINT,
    payload TEXT NOT NULL,
    -- 0 waiting, 1 running, 2 done, 3 failed.
    state BIGINT NOT NULL,
    -- When it is to be claimed: its turn, or the end of the lease of whoever runs it. NULL once it has ended.
    due_at_ms BIGINT,
    requested_at_ms BIGINT NOT NULL,
    give_up_ms BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    claimed_requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    run BIGINT NOT NULL,
    holder TEXT,
    started_at_ms BIGINT,
    finished_at_ms BIGINT,
    error TEXT
);
CREATE UNIQUE INDEX jobs_key ON jobs (kind, key);
CREATE INDEX jobs_due ON jobs (kind, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (finished_at_ms) WHERE due_at_ms IS NULL;
CREATE INDEX jobs_org ON jobs (org_id, id);
CREATE INDEX jobs_repo ON jobs (repo_id, id);
