-- one row per position, control and sample
CREATE TABLE explanations (
    run_id VARCHAR NOT NULL,  -- run that wrote the row: hash of config, corpus and models
    unit_id VARCHAR NOT NULL,  -- piece of the corpus that was committed as a whole
    row_id VARCHAR NOT NULL,  -- hash of document, position and control; with sample it is the key
    doc_id VARCHAR NOT NULL,  -- document: the corpus's own id, else a hash of its content
    position INTEGER,  -- token index; null if not known or nothing was read
    token_id INTEGER,  -- token at the position
    token VARCHAR,  -- text of that token alone
    role VARCHAR,  -- label: the message's role, thinking, tool_call, tool_result or template; null in plain text
    doc_tokens INTEGER,  -- tokens of the document that were read
    layer SMALLINT,  -- K: the vector is the output of block K of the target
    control VARCHAR NOT NULL,  -- real, or what was injected instead: shuffled, random, mean, none
    control_source VARCHAR,  -- shuffled only: row_id of the vector's owner
    sample SMALLINT NOT NULL,  -- 0, 1, ... of the answers to one vector
    seed BIGINT,  -- seed of positions, controls and sampling
    outcome VARCHAR NOT NULL,  -- ok, unclosed, length, empty, loop, failed
    reason VARCHAR,  -- why, where the outcome is not ok
    flags VARCHAR[] NOT NULL,  -- early_position, special_token, template_token, sink_norm, cjk, windowed, dropped:WHAT
    explanation VARCHAR,  -- the answer between its tags, if any
    explanation_norm VARCHAR,  -- for matching: NFKC, casefolded
    raw_text VARCHAR,  -- the whole answer as generated
    finish_reason VARCHAR,  -- stop, length, failed
    closed BOOLEAN,  -- whether the closing tag was written
    n_tokens INTEGER,  -- tokens generated
    norm FLOAT,  -- L2 norm of the position's own raw vector
    cos FLOAT,  -- cosine of own vector and reconstruction
    mse_nrm FLOAT,  -- 2 (1 - cos): both vectors at norm sqrt(d)
    fve_nrm FLOAT,  -- 1 - mse_nrm / Var(v_nrm) of the run's baseline
    target VARCHAR,  -- target model: reference and weights digest
    av VARCHAR,  -- verbalizer: reference and weights digest
    ar VARCHAR,  -- reconstructor: reference and weights digest
    provenance VARCHAR NOT NULL,  -- decoded, or imported; what the tool did not say is null
    meta VARCHAR  -- corpus columns that were carried along, as JSON
);
