-- What is too old is found by its time, whatever the order in which nodes with other clocks wrote it. The column
-- orgs.audit_expired_tick is not needed any more; it stays for nodes of the version before.
CREATE INDEX audit_age ON audit (org_id, at_ms);
CREATE INDEX reflog_origin_age ON reflog (org_id, at_ms) WHERE address IS NOT NULL OR request_id IS NOT NULL;
