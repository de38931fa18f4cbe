-- Where the request that moved a ref came from, and its id. NULL: unknown, as in rows older than these columns.
ALTER TABLE reflog ADD COLUMN address TEXT;
ALTER TABLE reflog ADD COLUMN request_id TEXT;

-- What was done that moved no ref. An entry stands before the events of its tick.
CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    org_id BIGINT NOT NULL,
    repo_id BIGINT,
    tick BIGINT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT,
    detail TEXT,
    who TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    at_ms BIGINT NOT NULL
);
CREATE INDEX audit_org ON audit (org_id, tick, id);
CREATE INDEX audit_repo ON audit (repo_id, tick, id) WHERE repo_id IS NOT NULL;
