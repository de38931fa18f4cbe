-- Before the bytes of a pack are deleted, it is asked whether any repository lists it.
CREATE INDEX packs_key ON packs (key);

-- Packs in the bucket that no repository lists.
CREATE TABLE dead_packs (
    org_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    -- 0: found so at at_ms. 1: condemned, no transaction lists it any more; at_ms is when it was last to be deleted.
    condemned INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (org_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_packs_age ON dead_packs (at_ms);

-- When the rows of a deleted repository were removed; its own row stays, and so do its moves in the reflog.
ALTER TABLE repos ADD COLUMN swept_at_ms INTEGER;
CREATE INDEX repos_to_sweep ON repos (deleted_at_ms, id) WHERE deleted_at_ms IS NOT NULL AND swept_at_ms IS NULL;
