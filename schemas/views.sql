-- The views of `nla_ray.store.connect`. They stand on relations that hold committed data only:
-- committed_<table> for each table with a schema of its own (the files that the manifests name, digests
-- verified), committed_runs (one row per manifest) and committed_cells (one row per run and what it is
-- called by; `shown` are the cells that need it, or those that did where none does).

CREATE VIEW all_runs AS
WITH called AS (
    SELECT
        run_id,
        list_sort(list(DISTINCT sweep) FILTER (sweep IS NOT NULL)) AS sweep,
        list_sort(list(DISTINCT week) FILTER (week IS NOT NULL)) AS week,
        list_sort(list(DISTINCT model) FILTER (model IS NOT NULL)) AS model,
        list_sort(list(DISTINCT base) FILTER (base IS NOT NULL)) AS base,
        list_sort(list(DISTINCT corpus) FILTER (corpus IS NOT NULL)) AS corpus,
        max(try_cast(layer AS SMALLINT)) AS layer,
        max(superseded_by) AS superseded_by
    FROM committed_cells
    WHERE shown
    GROUP BY run_id
)

SELECT
    run_id,
    called.sweep,
    called.week,
    called.model,
    called.base,
    called.corpus,
    table_name,
    units,
    rows,
    quarantined,
    bytes,
    facts->>'$.fingerprint' AS fingerprint,
    facts->>'$.models.target' AS target,
    facts->>'$.models.av' AS av,
    facts->>'$.models.ar' AS ar,
    coalesce((facts->>'$.layer')::SMALLINT, called.layer) AS layer,
    (facts->>'$.seed')::BIGINT AS seed,
    facts->>'$.injection' AS injection,
    record->>'$.proof.verdict' AS proof,
    (record->>'$.baseline.value')::DOUBLE AS fve_baseline,
    record->>'$.baseline.reference' AS fve_reference,
    CASE
        WHEN regexp_matches(record->>'$.finished_at', 'T.*(Z|[+-]\d\d:?\d\d)$')
            THEN make_timestamp(epoch_us(try_cast(record->>'$.finished_at' AS TIMESTAMPTZ)))
        ELSE try_cast(record->>'$.finished_at' AS TIMESTAMP)
    END AS finished_at,
    plan_sha256,
    manifest_sha256,
    facts::JSON AS facts,
    record::JSON AS record,
    called.superseded_by
FROM committed_runs
LEFT JOIN called USING (run_id);

COMMENT ON VIEW all_runs IS
'runs, and those that no cell needs any more, for later ones supersede them: their rows are in no view';

CREATE VIEW runs AS
FROM all_runs
SEMI JOIN (FROM committed_runs WHERE read) AS read USING (run_id);

COMMENT ON VIEW runs IS
'one row per committed run; sweep to corpus are lists, for it may have several cells; fve_baseline: of its fve_nrm; proof: whether the pair was proven to read the target; finished_at: in UTC';

CREATE VIEW all_cells AS
SELECT sweep, week, model, base, corpus, try_cast(layer AS SMALLINT) AS layer, table_name, run_id, superseded_by
FROM committed_cells
WHERE
    table_name IN ('explanations', 'rates')
    AND (sweep || week || model || corpus || layer) IS NOT NULL;

COMMENT ON VIEW all_cells IS
'one row per cell and run or audit that is or was its own; superseded_by is the one that took its place';

-- The audit of a cell is that of its run: one of an earlier run is none.
CREATE VIEW cells AS
WITH audits AS (
    SELECT cell.*, json_keys(runs.facts, '$.tables.audited') AS audited
    FROM all_cells AS cell
    INNER JOIN runs ON runs.run_id = cell.run_id
    WHERE cell.table_name = 'rates' AND cell.superseded_by IS NULL
)

SELECT
    cell.sweep,
    cell.week,
    cell.model,
    cell.base,
    cell.corpus,
    cell.layer,
    audits.run_id AS audit_id,
    runs.* EXCLUDE (sweep, week, model, base, corpus, layer, table_name, superseded_by)
FROM all_cells AS cell
INNER JOIN runs ON runs.run_id = cell.run_id
LEFT JOIN audits
    ON (audits.sweep, audits.week, audits.model, audits.corpus, audits.layer)
        = (cell.sweep, cell.week, cell.model, cell.corpus, cell.layer)
        AND list_contains(audits.audited, cell.run_id)
WHERE cell.table_name = 'explanations' AND cell.superseded_by IS NULL;

COMMENT ON VIEW cells IS
'one row per cell of a sweep: its labels, its run with the columns of runs, and the audit of that run';

-- A unit is written before a run's own baseline is known; fve_nrm is then filled in here.
CREATE VIEW all_explanations AS
SELECT
    found.* REPLACE (
        coalesce(found.fve_nrm, (1 - found.mse_nrm::DOUBLE / runs.fve_baseline)::FLOAT) AS fve_nrm
    ),
    runs.injection
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
-- all_...: of every audit whose runs are read; without it: of one audit of each run, the newest.
CREATE VIEW all_findings AS
SELECT
    run_id AS audit_id,
    audited_run AS run_id,
    * EXCLUDE (run_id, unit_id, audited_run, evidence),
    evidence->>'$[0].span' AS quote,
    evidence->>'$[0].row_id' AS quote_row_id,
    (evidence->>'$[0].sample')::SMALLINT AS quote_sample,
    (evidence->>'$[0].position')::INTEGER AS quote_position,
    evidence->>'$[0].token' AS quote_token,
    (evidence->>'$[0].fve_nrm')::FLOAT AS quote_fve_nrm,
    evidence->>'$[*].span' AS quotes,
    evidence
FROM committed_findings
WHERE audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read);

COMMENT ON VIEW all_findings IS
'findings of every audit; after a second audit of a run its documents are here twice';

CREATE VIEW all_hits AS
SELECT run_id AS audit_id, audited_run AS run_id, * EXCLUDE (run_id, unit_id, audited_run)
FROM committed_hits
WHERE audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read);

COMMENT ON VIEW all_hits IS 'hits of every audit, and what detectors match in controls';

CREATE VIEW all_rates AS
SELECT
    found.run_id AS audit_id,
    found.audited_run AS run_id,
    cell.sweep,
    cell.week,
    cell.model,
    cell.base,
    cell.corpus,
    coalesce(audited.layer, try_cast(cell.layer AS SMALLINT)) AS layer,
    found.* EXCLUDE (run_id, unit_id, audited_run)
FROM committed_rates AS found
LEFT JOIN runs AS audited ON audited.run_id = found.audited_run
LEFT JOIN committed_cells AS cell ON cell.run_id = found.run_id AND cell.shown
-- An audit may still be that of a cell whose run was made again and waits for its own.
ANTI JOIN (FROM committed_cells WHERE superseded_by IS NOT NULL) AS gone
    ON gone.run_id = found.audited_run
        AND (gone.sweep, gone.week, gone.model, gone.corpus, gone.layer)
        = (cell.sweep, cell.week, cell.model, cell.corpus, cell.layer)
WHERE found.audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read);

COMMENT ON VIEW all_rates IS
'rates of every audit, once for each cell that it is of; after a second audit of a run they are here twice';

-- Newer is what was committed later. The audit of a cell goes before others, and one run may have several
-- such: cells that share a run compare it with other runs.
CREATE VIEW older_audits AS
WITH audited AS (
    SELECT run_id AS audit_id, commit_order, unnest(json_keys(facts, '$.tables.audited')) AS run_id
    FROM committed_runs
    WHERE table_name = 'rates' AND read
), of_cells AS (
    SELECT DISTINCT audit_id, run_id
    FROM cells
    WHERE audit_id IS NOT NULL
)

SELECT audited.audit_id, audited.run_id, of_cells.audit_id IS NOT NULL AS of_cell
FROM audited
LEFT JOIN of_cells USING (audit_id, run_id)
QUALIFY row_number() OVER (
    PARTITION BY audited.run_id
    ORDER BY of_cell DESC, audited.commit_order DESC, audited.audit_id DESC
) > 1;

COMMENT ON VIEW older_audits IS
'one row per run and audit of it that is not its newest, and so not in findings and hits; of_cell: it is that of a cell, and so in rates';

CREATE VIEW findings AS
FROM all_findings
ANTI JOIN older_audits USING (audit_id, run_id);

COMMENT ON VIEW findings IS
'one row per document with hits, detector and run, by its newest audit: findings, and what was ruled out and why; quote: of the strongest hit';

CREATE VIEW hits AS
FROM all_hits
ANTI JOIN older_audits USING (audit_id, run_id)
WHERE control = 'real';

COMMENT ON VIEW hits IS
'one row per detector and real explanation that it matches, by the newest audit of the run: what matches, where, and which steps of evidence it passes';

CREATE VIEW rates AS
FROM all_rates
ANTI JOIN (FROM older_audits WHERE NOT of_cell) AS older USING (audit_id, run_id);

COMMENT ON VIEW rates IS
'rates of detectors beside their controls, by the newest audit of the run, and by cell where it is that of several: sweep to corpus';

-- A reviewer may change their mind: the last verdict counts.
CREATE VIEW reviews AS
SELECT run_id AS sitting_id, audited_run AS run_id, * EXCLUDE (run_id, unit_id, audited_run)
FROM committed_reviews
WHERE audited_run NOT IN (SELECT run_id FROM committed_runs WHERE NOT read)
QUALIFY row_number() OVER (PARTITION BY hit, lower(reviewer) ORDER BY said_at DESC, run_id DESC) = 1;

COMMENT ON VIEW reviews IS 'what people said of explanations that were drawn for review, the last word of each reviewer';
