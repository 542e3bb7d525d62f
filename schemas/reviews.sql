-- one row per verdict of a reviewer on an explanation
CREATE TABLE reviews (
    run_id VARCHAR NOT NULL,  -- sitting: what one reviewer said between opening and closing a review
    unit_id VARCHAR NOT NULL,  -- the sitting as a unit
    review_id VARCHAR NOT NULL,  -- hash of the audited runs and the seed: whose sample it is
    hit VARCHAR NOT NULL,  -- id of what was judged: an explanation and the claim of a detector
    audited_run VARCHAR NOT NULL,  -- run_id of the explanation
    row_id VARCHAR NOT NULL,  -- as in explanations
    sample SMALLINT NOT NULL,  -- as in explanations
    doc_id VARCHAR NOT NULL,  -- document
    family VARCHAR NOT NULL,  -- documents that are alike have one
    control VARCHAR NOT NULL,  -- real, or what was injected instead; the reviewer was not told
    detector VARCHAR NOT NULL,  -- id of the detector whose claim was asked about
    rule_sha256 VARCHAR NOT NULL,  -- digest of what the detector asks and how it finds hits
    stratum VARCHAR NOT NULL,  -- hit, set aside, vocabulary, elsewhere; the reviewer was not told
    strata VARCHAR NOT NULL,  -- explanations of each stratum as JSON, of real or of control rows
    verdict VARCHAR NOT NULL,  -- true: the explanation makes the claim; false; unclear
    note VARCHAR NOT NULL,  -- the reviewer's remark, or nothing
    reviewer VARCHAR NOT NULL,  -- who says so
    said_at VARCHAR NOT NULL  -- when, UTC, ISO 8601; the last of a reviewer counts
);
