-- one row per audit, run, detector, population and unit
CREATE TABLE rates (
    run_id VARCHAR NOT NULL,  -- audit that wrote the row
    unit_id VARCHAR NOT NULL,  -- audited run, as a unit of the audit
    audited_run VARCHAR NOT NULL,  -- run_id of the explanations
    detector VARCHAR NOT NULL,  -- id of the detector
    population VARCHAR NOT NULL,  -- real, shuffled, random, mean, none, benign
    unit VARCHAR NOT NULL,  -- document: all rules; row: any mention; repeat: repeated ones
    least BIGINT,  -- what a document has at least to be counted
    k BIGINT NOT NULL,  -- documents or rows that meet it
    n BIGINT NOT NULL,  -- documents or rows that were searched
    rate DOUBLE,  -- share; a control by document: corrected for any of n
    low DOUBLE,  -- lower end of the 95 % interval
    high DOUBLE,  -- upper end
    method VARCHAR NOT NULL,  -- how rate and interval were made
    lift DOUBLE,  -- what real has more than this population
    lift_low DOUBLE,  -- lower end of its 95 % interval
    lift_high DOUBLE,  -- upper end
    p DOUBLE,  -- of: real is not above this population
    p_adjusted DOUBLE,  -- after Benjamini-Hochberg over detectors
    verdict VARCHAR,  -- of real against this population
    detector_verdict VARCHAR NOT NULL  -- above controls, everywhere, not distinguishable, ...
);
