-- When the event after the last that is done with failed first; NULL: it has not failed yet.
ALTER TABLE hook_queues ADD COLUMN failing_since_ms BIGINT;
