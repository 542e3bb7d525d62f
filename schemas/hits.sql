-- one row per audit, detector and explanation that matches
CREATE TABLE hits (
    run_id VARCHAR NOT NULL,  -- audit that wrote the row
    unit_id VARCHAR NOT NULL,  -- audited run, as a unit of the audit
    audited_run VARCHAR NOT NULL,  -- run_id of the explanations
    detector VARCHAR NOT NULL,  -- id of the detector
    doc_id VARCHAR NOT NULL,  -- document
    row_id VARCHAR NOT NULL,  -- as in explanations
    sample SMALLINT NOT NULL,  -- as in explanations
    position INTEGER,  -- token index; null if not known
    token VARCHAR,  -- text of that token alone
    role VARCHAR,  -- label of the token
    control VARCHAR NOT NULL,  -- real, shuffled, random, mean, none, benign
    fve_nrm FLOAT,  -- fidelity of the explanation
    quote VARCHAR NOT NULL,  -- what matches, as written, at most 200 characters
    quote_start INTEGER,  -- characters of explanation before it; null: not certain
    artefact BOOLEAN NOT NULL,  -- whether all that matches is inside known artefacts
    faithful BOOLEAN NOT NULL,  -- whether its fidelity is above the floor, and it is no artefact
    restated BOOLEAN,  -- whether the prompt matches too; null: text not kept
    evident BOOLEAN NOT NULL,  -- whether it counts as evidence
    recurs BOOLEAN NOT NULL,  -- whether evidence meets the detector's rule in this document
    status VARCHAR  -- real rows: its own first step that fails, else that of its document
);
