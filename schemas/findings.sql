-- one row per audit, run, detector and document with hits
CREATE TABLE findings (
    run_id VARCHAR NOT NULL,  -- audit that wrote the row
    unit_id VARCHAR NOT NULL,  -- audited run, as a unit of the audit
    audited_run VARCHAR NOT NULL,  -- run_id of the explanations
    finding_id VARCHAR NOT NULL,  -- hash of audited run, detector and document
    detector VARCHAR NOT NULL,  -- id of the detector
    level VARCHAR NOT NULL,  -- informational, low, medium, high, critical
    tier VARCHAR NOT NULL,  -- strong, weak
    doc_id VARCHAR NOT NULL,  -- document
    status VARCHAR NOT NULL,  -- finding, or why it is none: not distinguishable, restated, ...
    restated BOOLEAN,  -- the prompt matches too; null: text not kept
    rows_hit INTEGER NOT NULL,  -- real rows that match
    rows_read INTEGER NOT NULL,  -- real rows that were searched
    positions_hit INTEGER NOT NULL,  -- positions with a matching row
    positions_read INTEGER NOT NULL,  -- positions that were searched
    samples_hit INTEGER NOT NULL,  -- most samples of one position that match
    samples_read INTEGER NOT NULL,  -- most samples of one position
    recurrence FLOAT NOT NULL,  -- part of the score: positions_hit / positions_read
    fidelity FLOAT,  -- part: mean fve_nrm of the matching rows
    lift FLOAT,  -- part: recurrence less the shuffled rows' rate
    chance FLOAT,  -- part: of so many positions, by any control's rate
    score FLOAT NOT NULL,  -- product of recurrence, fidelity and 1 - chance, for sorting only
    evidence VARCHAR NOT NULL  -- matching rows as JSON: row_id, sample, position, token, role, ...
);
