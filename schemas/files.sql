-- what a manifest commits: one row per table and unit
CREATE TABLE files (
    table_name VARCHAR NOT NULL,  -- table that the rows are in
    unit_id VARCHAR NOT NULL,  -- unit that they belong to
    key VARCHAR,  -- file, where it is not the unit's own in that table
    sha256 BLOB NOT NULL,  -- digest of the file
    bytes BIGINT NOT NULL,  -- size of the file
    rows BIGINT NOT NULL,  -- rows of the unit in it
    quarantined BIGINT NOT NULL  -- rows of the unit that are in the quarantine instead
);
