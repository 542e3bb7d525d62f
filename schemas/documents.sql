-- one row per document, as the target read it
CREATE TABLE documents (
    run_id VARCHAR NOT NULL,  -- run that read the document
    unit_id VARCHAR NOT NULL,  -- piece of the corpus that was committed as a whole
    doc_id VARCHAR NOT NULL,  -- as in explanations
    source VARCHAR NOT NULL,  -- file and line or row
    text VARCHAR,  -- as the target saw it, with template; null: unreadable
    token_ends INTEGER[],  -- where each token ends in text, in characters; null if not known
    roles VARCHAR[],  -- each token's label, as role in explanations
    response_start INTEGER,  -- first token of the target's own answer
    n_tokens INTEGER NOT NULL,  -- tokens that were read
    truncated BOOLEAN NOT NULL,  -- whether it was cut at corpus.max_tokens
    left_out_before INTEGER NOT NULL,  -- tokens of the document before those that were read
    left_out_after INTEGER NOT NULL,  -- tokens of the document after those that were read
    flags VARCHAR[] NOT NULL  -- what is true of the whole document: windowed, dropped:WHAT
);
