-- A number that is another one after every change of an entry: whoever knows the entries of then need not read them again. It
-- begins anywhere, so that those of two files are not alike.
CREATE TABLE entry_changes (number INTEGER NOT NULL);
INSERT INTO entry_changes (number) VALUES (random() / 2);

CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    UPDATE entry_changes SET number = number + 1;
END;
CREATE TRIGGER entry_changed AFTER UPDATE ON entries BEGIN
    UPDATE entry_changes SET number = number + 1;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    UPDATE entry_changes SET number = number + 1;
END;

PRAGMA user_version = 2;
