-- one row per position; readable again as a corpus of vectors
CREATE TABLE activations (
    run_id VARCHAR NOT NULL,  -- run that extracted the vector
    unit_id VARCHAR NOT NULL,  -- as in explanations
    row_id VARCHAR NOT NULL,  -- of the real rows of the position in explanations
    doc_id VARCHAR NOT NULL,  -- as in explanations
    n_raw_tokens INTEGER,  -- tokens read for it: its position plus one
    activation_layer SMALLINT NOT NULL,  -- K
    activation_vector FLOAT[] NOT NULL  -- raw output of block K
);
