-- Names are compared bytewise (BINARY), ids of refs and packs are raw bytes.

CREATE TABLE orgs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE org_keys (
    org_id INTEGER NOT NULL REFERENCES orgs (id),
    fingerprint TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    public_pem TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    PRIMARY KEY (org_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE repos (
    id INTEGER PRIMARY KEY,
    org_id INTEGER NOT NULL REFERENCES orgs (id),
    name TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    deleted_at_ms INTEGER,
    generation INTEGER NOT NULL,
    packs_generation INTEGER NOT NULL,
    folded_through INTEGER NOT NULL,
    tail_rows INTEGER NOT NULL,
    tail_bytes INTEGER NOT NULL,
    -- 1 while the tail is long enough that somebody should look at it.
    fold_due INTEGER NOT NULL,
    fold_holder TEXT,
    fold_until_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX repos_live_name ON repos (org_id, name) WHERE deleted_at_ms IS NULL;
CREATE INDEX repos_deleted_name ON repos (org_id, name) WHERE deleted_at_ms IS NOT NULL;
CREATE INDEX repos_fold_due ON repos (id) WHERE fold_due = 1;

CREATE TABLE refs (
    repo_id INTEGER NOT NULL,
    name BLOB NOT NULL,
    target BLOB,
    peeled BLOB,
    created_at_ms INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (repo_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE reflog (
    repo_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name BLOB NOT NULL,
    old BLOB,
    new BLOB,
    who TEXT NOT NULL,
    message TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (repo_id, generation, ordinal)
) STRICT, WITHOUT ROWID;

-- A rowid table: rows are a few KiB, and appended pages are cheaper than a leaf per repository.
CREATE TABLE tail (
    repo_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    objects BLOB NOT NULL,
    PRIMARY KEY (repo_id, generation)
) STRICT;

CREATE TABLE packs (
    repo_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    source INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    pack_bytes INTEGER NOT NULL,
    idx_bytes INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (repo_id, key)
) STRICT, WITHOUT ROWID;
