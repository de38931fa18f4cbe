-- What the servers of one catalog share and nobody else knows. Made here, so that all of them have the same.
CREATE TABLE server_secrets (
    -- What it is for.
    name TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Signs the tokens that SSH keys are given for LFS.
INSERT INTO server_secrets (name, secret) VALUES ('lfs token', randomblob(32));
