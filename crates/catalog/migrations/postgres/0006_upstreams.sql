-- 1 from the creation of a repository that follows an upstream until its first sync is done.
ALTER TABLE repos ADD COLUMN syncing BIGINT NOT NULL DEFAULT 0;

CREATE TABLE upstreams (
    repo_id BIGINT PRIMARY KEY,
    provider TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    auth TEXT NOT NULL,
    -- 1: the default branch is that of the upstream.
    follow_head BIGINT NOT NULL,
    head TEXT,
    runs BIGINT NOT NULL,
    started_at_ms BIGINT,
    succeeded_at_ms BIGINT,
    failed_at_ms BIGINT,
    error TEXT
);

-- What the upstream had when it was last looked at.
CREATE TABLE upstream_refs (
    repo_id BIGINT NOT NULL,
    name BYTEA NOT NULL,
    target BYTEA NOT NULL,
    PRIMARY KEY (repo_id, name)
);

-- User and password, sealed; which key opens them is named beside.
CREATE TABLE git_credentials (
    id TEXT COLLATE "C" PRIMARY KEY,
    org_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX git_credentials_repo ON git_credentials (repo_id);
