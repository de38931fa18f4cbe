-- Names are compared bytewise (COLLATE "C"), ids of refs and packs are raw bytes.

CREATE TABLE orgs (
    id BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE org_keys (
    org_id BIGINT NOT NULL REFERENCES orgs (id),
    fingerprint TEXT COLLATE "C" NOT NULL,
    algorithm TEXT NOT NULL,
    public_pem TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    PRIMARY KEY (org_id, fingerprint)
);

-- fillfactor: every publish updates its repository's row and a ref without touching an indexed
-- column, so a page with room keeps the update within it (HOT).
CREATE TABLE repos (
    id BIGINT PRIMARY KEY,
    org_id BIGINT NOT NULL REFERENCES orgs (id),
    name TEXT COLLATE "C" NOT NULL,
    default_branch TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    deleted_at_ms BIGINT,
    generation BIGINT NOT NULL,
    packs_generation BIGINT NOT NULL,
    folded_through BIGINT NOT NULL,
    tail_rows BIGINT NOT NULL,
    tail_bytes BIGINT NOT NULL,
    -- 1 while the tail is long enough that somebody should look at it.
    fold_due BIGINT NOT NULL,
    fold_holder TEXT,
    fold_until_ms BIGINT
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX repos_live_name ON repos (org_id, name) WHERE deleted_at_ms IS NULL;
CREATE INDEX repos_deleted_name ON repos (org_id, name) WHERE deleted_at_ms IS NOT NULL;
CREATE INDEX repos_fold_due ON repos (id) WHERE fold_due = 1;

CREATE TABLE refs (
    repo_id BIGINT NOT NULL,
    name BYTEA NOT NULL,
    target BYTEA,
    peeled BYTEA,
    created_at_ms BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (repo_id, name)
) WITH (fillfactor = 70);

CREATE TABLE reflog (
    repo_id BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    name BYTEA NOT NULL,
    old BYTEA,
    new BYTEA,
    who TEXT NOT NULL,
    message TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (repo_id, generation, ordinal)
);

-- EXTERNAL: the rows hold deflated or soon deleted objects; compressing them again is work for nothing.
CREATE TABLE tail (
    repo_id BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    objects BYTEA NOT NULL,
    PRIMARY KEY (repo_id, generation)
);
ALTER TABLE tail ALTER COLUMN objects SET STORAGE EXTERNAL;

CREATE TABLE packs (
    repo_id BIGINT NOT NULL,
    key BYTEA NOT NULL,
    source BIGINT NOT NULL,
    objects BIGINT NOT NULL,
    pack_bytes BIGINT NOT NULL,
    idx_bytes BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (repo_id, key)
);
