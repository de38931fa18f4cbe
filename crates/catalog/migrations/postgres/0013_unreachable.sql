-- When a pack of what no ref reached was set apart; NULL: it is none. Those of before are set apart now.
ALTER TABLE packs ADD COLUMN apart_at_ms BIGINT;
UPDATE packs SET apart_at_ms = CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT) WHERE source = 7;
CREATE INDEX packs_apart ON packs (repo_id, apart_at_ms) WHERE apart_at_ms IS NOT NULL;
-- The generation in which such a pack was last dropped: what was checked against an older one may lack something.
ALTER TABLE repos ADD COLUMN dropped_generation BIGINT NOT NULL DEFAULT 0;
