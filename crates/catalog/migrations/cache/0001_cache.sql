-- Entries of a git cache: a name and what it is a copy of.
CREATE TABLE entries (
    name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    source_key TEXT NOT NULL,
    accessed_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX entries_by_source ON entries (source_key);

CREATE TABLE mirrors (
    key TEXT NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE checkouts (
    key TEXT NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;

PRAGMA user_version = 1;
