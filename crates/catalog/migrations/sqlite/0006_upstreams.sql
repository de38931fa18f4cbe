-- 1 from the creation of a repository that follows an upstream until its first sync is done.
ALTER TABLE repos ADD COLUMN syncing INTEGER NOT NULL DEFAULT 0;

CREATE TABLE upstreams (
    repo_id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    auth TEXT NOT NULL,
    -- 1: the default branch is that of the upstream.
    follow_head INTEGER NOT NULL,
    head TEXT,
    runs INTEGER NOT NULL,
    started_at_ms INTEGER,
    succeeded_at_ms INTEGER,
    failed_at_ms INTEGER,
    error TEXT
) STRICT;

-- What the upstream had when it was last looked at.
CREATE TABLE upstream_refs (
    repo_id INTEGER NOT NULL,
    name BLOB NOT NULL,
    target BLOB NOT NULL,
    PRIMARY KEY (repo_id, name)
) STRICT, WITHOUT ROWID;

-- User and password, sealed; which key opens them is named beside.
CREATE TABLE git_credentials (
    id TEXT PRIMARY KEY,
    org_id INTEGER NOT NULL,
    repo_id INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX git_credentials_repo ON git_credentials (repo_id);
