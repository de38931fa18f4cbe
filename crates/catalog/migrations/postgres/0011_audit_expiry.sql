-- Up to this tick the moves of refs have lost where they came from, because their audit entries are too old.
ALTER TABLE orgs ADD COLUMN audit_expired_tick BIGINT NOT NULL DEFAULT 0;
