-- The views of `nla_ray.store.connect`. They stand on relations that hold committed data only:
-- committed_<table> for each table with a schema of its own (the files that the manifests name, digests
-- verified), and committed_runs (one row per manifest).

CREATE VIEW all_runs AS
SELECT
    run_id,
    labels->>'$.sweep' AS sweep,
    labels->>'$.week' AS week,
    labels->>'$.model' AS model,
    labels->>'$.base' AS base,
    labels->>'$.corpus' AS corpus,
    table_name,
    units,
    rows,
    quarantined,
    bytes,
    facts->>'$.fingerprint' AS fingerprint,
    facts->>'$.models.target' AS target,
    facts->>'$.models.av' AS av,
    facts->>'$.models.ar' AS ar,
    coalesce((facts->>'$.layer')::SMALLINT, try_cast(labels->>'$.layer' AS SMALLINT)) AS layer,
    (facts->>'$.seed')::BIGINT AS seed,
    (record->>'$.baseline.value')::DOUBLE AS fve_baseline,
    record->>'$.baseline.reference' AS fve_reference,
    record->>'$.finished_at' AS finished_at,
    plan_sha256,
    manifest_sha256,
    labels::JSON AS labels,
    facts::JSON AS facts,
    record::JSON AS record,
    superseded_by
FROM committed_runs;

COMMENT ON VIEW all_runs IS 'runs, and those that a later run of the same cell supersedes: their rows are in no view';

CREATE VIEW runs AS
FROM all_runs
SEMI JOIN (FROM committed_runs WHERE read) AS read USING (run_id);

COMMENT ON VIEW runs IS
'one row per committed run; sweep to corpus are its labels; fve_baseline is the denominator of its fve_nrm';

-- A unit is written before a run's own baseline is known; fve_nrm is then filled in here.
CREATE VIEW all_explanations AS
SELECT
    found.* REPLACE (
        coalesce(found.fve_nrm, (1 - found.mse_nrm::DOUBLE / runs.fve_baseline)::FLOAT) AS fve_nrm
    )
FROM committed_explanations AS found
LEFT JOIN runs ON runs.run_id = found.run_id;

COMMENT ON VIEW all_explanations IS 'every committed answer: real ones and controls';

CREATE VIEW explanations AS
FROM all_explanations
WHERE control = 'real';

COMMENT ON VIEW explanations IS 'answers about a position''s own vector';

CREATE VIEW controls AS
FROM all_explanations
WHERE control <> 'real';

COMMENT ON VIEW controls IS 'answers about something else than the own vector: what chance looks like';

CREATE VIEW failures AS
SELECT run_id, unit_id, row_id, sample, doc_id, position, control, outcome, reason
FROM committed_explanations
WHERE outcome = 'failed'
UNION ALL
SELECT run_id, unit_id, row_id, sample, doc_id, position, control, 'quarantined', reason
FROM committed_quarantine;

COMMENT ON VIEW failures IS 'planned rows without an answer, with the reason';

CREATE VIEW documents AS
FROM committed_documents;

COMMENT ON VIEW documents IS 'what the target read, one row per document and unit, where runs keep it';

CREATE VIEW activations AS
FROM committed_activations;

COMMENT ON VIEW activations IS 'the vectors, one row per position, where runs keep them';

-- An audit is a run of its own; what it audited is named as elsewhere, so that rows can be joined.
CREATE VIEW findings AS
SELECT run_id AS audit_id, audited_run AS run_id, * EXCLUDE (run_id, unit_id, audited_run)
FROM committed_findings
WHERE audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read);

COMMENT ON VIEW findings IS 'documents with hits, by audit: findings, and what was ruled out and why';

CREATE VIEW rates AS
SELECT
    found.run_id AS audit_id,
    found.audited_run AS run_id,
    audit.sweep,
    audit.week,
    audit.model,
    audit.base,
    audit.corpus,
    coalesce(audited.layer, audit.layer) AS layer,
    found.* EXCLUDE (run_id, unit_id, audited_run)
FROM committed_rates AS found
LEFT JOIN runs AS audited ON audited.run_id = found.audited_run
LEFT JOIN runs AS audit ON audit.run_id = found.run_id
WHERE found.audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read);

COMMENT ON VIEW rates IS
'rates of detectors beside their controls, by audit; sweep to corpus are the labels of the audit';
