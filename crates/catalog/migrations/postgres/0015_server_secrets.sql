-- What the servers of one catalog share and nobody else knows. Made here, so that all of them have the same.
CREATE TABLE server_secrets (
    -- What it is for.
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL
);

-- Signs the tokens that SSH keys are given for LFS. A random UUID holds 122 bits of the system's randomness.
INSERT INTO server_secrets (name, secret) VALUES (
    'lfs token',
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);
