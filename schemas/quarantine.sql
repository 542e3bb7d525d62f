-- planned rows that no worker could make
CREATE TABLE quarantine (
    run_id VARCHAR NOT NULL,  -- run that planned the row
    unit_id VARCHAR NOT NULL,  -- unit that it belongs to
    row_id VARCHAR NOT NULL,  -- as in explanations
    sample SMALLINT NOT NULL,  -- as in explanations
    doc_id VARCHAR NOT NULL,  -- document of the row
    position INTEGER,  -- token index; null if not known
    control VARCHAR NOT NULL,  -- as in explanations
    reason VARCHAR NOT NULL  -- why no worker could make the row
);
