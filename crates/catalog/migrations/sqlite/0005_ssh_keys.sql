-- Public keys that may come in by SSH. A revoked key keeps its row, with the time.
CREATE TABLE ssh_keys (
    -- As `ssh-keygen -l` prints it: SHA256: and the Base64 of the key's SHA-256.
    fingerprint TEXT NOT NULL,
    org_id INTEGER NOT NULL REFERENCES orgs (id),
    -- `ssh-ed25519 AAAA…`, without a comment.
    public_key TEXT NOT NULL,
    -- Whose it is; NULL: the organisation's.
    user_name TEXT,
    -- The one repository it is for; NULL: all of the organisation's.
    repo_id INTEGER REFERENCES repos (id),
    -- Words with blanks between, as in a token: git:read, git:write.
    scopes TEXT NOT NULL,
    expires_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    PRIMARY KEY (fingerprint, org_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX ssh_keys_org ON ssh_keys (org_id, fingerprint) WHERE revoked_at_ms IS NULL;
CREATE INDEX ssh_keys_repo ON ssh_keys (repo_id, fingerprint) WHERE repo_id IS NOT NULL;
