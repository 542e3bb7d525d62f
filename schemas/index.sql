-- a cache of manifests: one row per committed run
CREATE TABLE index (
    run_id VARCHAR NOT NULL,  -- committed run
    manifest_sha256 VARCHAR NOT NULL,  -- digest of its manifest
    table_name VARCHAR NOT NULL,  -- table that its rows are in
    labels VARCHAR NOT NULL,  -- what the run is called by, as JSON
    recipe VARCHAR,  -- digest of what its units' rows follow from
    commit_order BIGINT NOT NULL,  -- a later commit has a greater one
    plan_sha256 VARCHAR NOT NULL,  -- digest of the plan
    units BIGINT NOT NULL,  -- units committed
    rows BIGINT NOT NULL,  -- rows written
    quarantined BIGINT NOT NULL,  -- rows set aside
    previous VARCHAR[] NOT NULL  -- runs whose manifests it names
);
