-- The reflog is the log of events too: a ref that moved is an event, and its row is written anyway.
-- kind and detail are of the events that move no ref; their rows have an empty name.
ALTER TABLE reflog ADD COLUMN org_id INTEGER;
ALTER TABLE reflog ADD COLUMN tick INTEGER;
ALTER TABLE reflog ADD COLUMN kind TEXT;
ALTER TABLE reflog ADD COLUMN detail TEXT;
CREATE INDEX reflog_stream ON reflog (org_id, tick, repo_id, generation, ordinal);
CREATE INDEX reflog_other ON reflog (at_ms) WHERE kind IS NOT NULL;

-- Here a tick follows from the index above; the column is for PostgreSQL.
ALTER TABLE repos ADD COLUMN event_tick INTEGER NOT NULL DEFAULT 0;

CREATE TABLE hooks (
    id INTEGER PRIMARY KEY,
    org_id INTEGER NOT NULL REFERENCES orgs (id),
    -- NULL: every repository of the organisation.
    repo_id INTEGER,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    -- Only events with a later tick are delivered.
    start_tick INTEGER NOT NULL
) STRICT;
CREATE INDEX hooks_org ON hooks (org_id, id);
CREATE INDEX hooks_repo ON hooks (org_id, repo_id);

-- For each organisation with hooks: up to where its events have been given to queues.
CREATE TABLE hook_scans (
    org_id INTEGER PRIMARY KEY,
    tick INTEGER NOT NULL
) STRICT;

CREATE TABLE hook_queues (
    hook_id INTEGER NOT NULL,
    repo_id INTEGER NOT NULL,
    -- The last event that is done with.
    generation INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    -- The newest generation with an event that a scan saw.
    wanted INTEGER NOT NULL,
    -- When there is work; NULL: nothing waits.
    due_at_ms INTEGER,
    failures INTEGER NOT NULL,
    holder TEXT,
    held_until_ms INTEGER NOT NULL,
    PRIMARY KEY (hook_id, repo_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_queues_due ON hook_queues (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE TABLE deliveries (
    hook_id INTEGER NOT NULL,
    repo_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    status INTEGER,
    response TEXT,
    error TEXT,
    PRIMARY KEY (hook_id, repo_id, generation, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_recent ON deliveries (hook_id, at_ms);
CREATE INDEX deliveries_age ON deliveries (at_ms);
