-- One row for each kind and key: the newest request, and what became of it.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    org_id INTEGER NOT NULL,
    repo_id INTEGER,
    payload TEXT NOT NULL,
    -- 0 waiting, 1 running, 2 done, 3 failed.
    state INTEGER NOT NULL,
    -- When it is to be claimed: its turn, or the end of the lease of whoever runs it. NULL once it has ended.
    due_at_ms INTEGER,
    requested_at_ms INTEGER NOT NULL,
    give_up_ms INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    claimed_requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    run INTEGER NOT NULL,
    holder TEXT,
    started_at_ms INTEGER,
    finished_at_ms INTEGER,
    error TEXT
) STRICT;
CREATE UNIQUE INDEX jobs_key ON jobs (kind, key);
CREATE INDEX jobs_due ON jobs (kind, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (finished_at_ms) WHERE due_at_ms IS NULL;
CREATE INDEX jobs_org ON jobs (org_id, id);
CREATE INDEX jobs_repo ON jobs (repo_id, id);
