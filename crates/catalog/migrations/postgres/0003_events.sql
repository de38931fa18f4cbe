-- The reflog is the log of events too: a ref that moved is an event, and its row is written anyway.
-- kind and detail are of the events that move no ref; their rows have an empty name.
ALTER TABLE reflog ADD COLUMN org_id BIGINT;
ALTER TABLE reflog ADD COLUMN tick BIGINT;
ALTER TABLE reflog ADD COLUMN kind TEXT COLLATE "C";
ALTER TABLE reflog ADD COLUMN detail TEXT;
CREATE INDEX reflog_stream ON reflog (org_id, tick, repo_id, generation, ordinal);
CREATE INDEX reflog_other ON reflog (at_ms) WHERE kind IS NOT NULL;

-- The greatest tick among the events of the repository.
ALTER TABLE repos ADD COLUMN event_tick BIGINT NOT NULL DEFAULT 0;

-- Ticks are transaction ids plus this: in a copy of the database on another server, whose ids are lower,
-- it is raised so that ticks go on.
CREATE TABLE event_clock (base BIGINT NOT NULL);
INSERT INTO event_clock VALUES (0);

CREATE TABLE hooks (
    id BIGINT PRIMARY KEY,
    org_id BIGINT NOT NULL REFERENCES orgs (id),
    -- NULL: every repository of the organisation.
    repo_id BIGINT,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    -- Only events with a later tick are delivered.
    start_tick BIGINT NOT NULL
);
CREATE INDEX hooks_org ON hooks (org_id, id);
CREATE INDEX hooks_repo ON hooks (org_id, repo_id);

-- For each organisation with hooks: up to where its events have been given to queues.
CREATE TABLE hook_scans (
    org_id BIGINT PRIMARY KEY,
    tick BIGINT NOT NULL
);

CREATE TABLE hook_queues (
    hook_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    -- The last event that is done with.
    generation BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    -- The newest generation with an event that a scan saw.
    wanted BIGINT NOT NULL,
    -- When there is work; NULL: nothing waits.
    due_at_ms BIGINT,
    failures BIGINT NOT NULL,
    holder TEXT,
    held_until_ms BIGINT NOT NULL,
    PRIMARY KEY (hook_id, repo_id)
) WITH (fillfactor = 70);
CREATE INDEX hook_queues_due ON hook_queues (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE TABLE deliveries (
    hook_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    state BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    status BIGINT,
    response TEXT,
    error TEXT,
    PRIMARY KEY (hook_id, repo_id, generation, ordinal)
);
CREATE INDEX deliveries_recent ON deliveries (hook_id, at_ms);
CREATE INDEX deliveries_age ON deliveries (at_ms);
