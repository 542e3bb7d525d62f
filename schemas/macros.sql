-- Macros for the everyday questions, over the views of `nla_ray.store.connect`. Rates are of documents: answers
-- about one document are alike, and an interval over answers would be far too narrow.

CREATE MACRO mentions(text, pattern) AS
    regexp_matches(text, pattern, 'i');

COMMENT ON MACRO mentions IS
'whether the RE2 pattern is anywhere in text, in any case; made for explanation_norm; null where text is null';

CREATE MACRO recurs(doc, pattern, k) AS
    EXISTS (
        SELECT 1
        FROM explanations AS searched
        WHERE searched.doc_id = doc AND mentions(searched.explanation_norm, pattern)
        GROUP BY searched.run_id
        HAVING count(DISTINCT searched.position) >= k
    );

COMMENT ON MACRO recurs IS
'whether, in one run, explanations at k or more positions of the document mention the pattern';

-- Tokens that are bytes of one character end at the same place: each of them stands for that character.
CREATE MACRO token_start(token_ends, "position") AS
    coalesce(token_ends[list_position(token_ends, token_ends[position + 1]) - 1], 0);

COMMENT ON MACRO token_start IS
'where in documents.text a token begins, in characters from 0; bytes of one character all begin with it';

CREATE MACRO in_context(text, token_ends, "position", width := 40) AS
    right(left(text, token_start(token_ends, position)), width)
    || '[' || substring(
        text,
        token_start(token_ends, position) + 1,
        token_ends[position + 1] - token_start(token_ends, position)
    ) || ']'
    || substring(text, token_ends[position + 1] + 1, width);

COMMENT ON MACRO in_context IS
'a [token] of documents.text with up to width characters on both sides; null where it has no such position';

-- Wilson's score interval at 95 % (z = 1.959964): Wilson, J. Am. Stat. Assoc. 22 (1927). Nothing seen (n = 0)
-- bounds nothing: 0 to 1.
CREATE MACRO wilson_low(k, n) AS
    CASE
        WHEN k < 0 OR k > n THEN error('wilson_low(k, n): k is not between 0 and n')
        WHEN n = 0 OR k = 0 THEN 0.0::DOUBLE
        ELSE (
            k::DOUBLE / n + 1.920729410347 / n
            - 1.959963984540 * sqrt((k::DOUBLE / n * (1 - k::DOUBLE / n) + 0.9603647051735 / n) / n)
        ) / (1 + 3.841458820694 / n)
    END;

COMMENT ON MACRO wilson_low IS 'lower end of the 95 % interval of a rate of k in n independent cases (documents)';

CREATE MACRO wilson_high(k, n) AS
    1 - wilson_low(n - k, n);

COMMENT ON MACRO wilson_high IS 'upper end of the 95 % interval of a rate of k in n independent cases (documents)';

-- Newcombe's interval 10 of the difference of two rates of independent samples: Stat. Med. 17 (1998) 873.
CREATE MACRO difference_low(k1, n1, k2, n2) AS
    CASE
        WHEN n1 = 0 OR n2 = 0 THEN -1.0::DOUBLE
        ELSE k1::DOUBLE / n1 - k2::DOUBLE / n2 - sqrt(
            (k1::DOUBLE / n1 - wilson_low(k1, n1)) ** 2 + (wilson_high(k2, n2) - k2::DOUBLE / n2) ** 2
        )
    END;

COMMENT ON MACRO difference_low IS 'lower end of the 95 % interval of k1/n1 - k2/n2; above 0: the first is higher';

CREATE MACRO difference_high(k1, n1, k2, n2) AS
    -difference_low(k2, n2, k1, n1);

COMMENT ON MACRO difference_high IS 'upper end of the 95 % interval of k1/n1 - k2/n2; below 0: the first is lower';

CREATE MACRO document_rates(pattern, k := 1) AS TABLE
WITH each AS (
    SELECT
        run_id,
        control,
        doc_id,
        count(DISTINCT position) AS positions,
        count(DISTINCT position) FILTER (mentions(explanation_norm, pattern)) AS found
    FROM all_explanations
    WHERE explanation_norm IS NOT NULL
    GROUP BY run_id, control, doc_id
)
SELECT
    run_id,
    control,
    count(*) AS documents,
    count(*) FILTER (found >= k) AS hits,
    count(*) FILTER (found >= k) / count(*) AS rate,
    wilson_low(count(*) FILTER (found >= k), count(*)) AS low,
    wilson_high(count(*) FILTER (found >= k), count(*)) AS high,
    avg(positions) AS positions
FROM each
GROUP BY run_id, control;

COMMENT ON MACRO TABLE document_rates IS
'per run and control, documents where k or more positions mention the pattern; compare only where positions, the mean number searched per document, is alike';

CREATE MACRO against_controls(pattern, k := 1) AS TABLE
WITH each AS (
    SELECT
        injected.run_id,
        injected.control,
        doc_id,
        count(DISTINCT position) FILTER (mentions(real_row.explanation_norm, pattern)) AS own,
        count(DISTINCT position) FILTER (mentions(injected.explanation_norm, pattern)) AS other
    FROM controls AS injected
    INNER JOIN explanations AS real_row USING (run_id, doc_id, position, sample)
    WHERE real_row.explanation_norm IS NOT NULL AND injected.explanation_norm IS NOT NULL
    GROUP BY injected.run_id, injected.control, doc_id
)
SELECT
    run_id,
    control,
    count(*) AS documents,
    count(*) FILTER (own >= k) / count(*) AS rate,
    count(*) FILTER (other >= k) / count(*) AS control_rate,
    (count(*) FILTER (own >= k) - count(*) FILTER (other >= k)) / count(*) AS lift,
    difference_low(count(*) FILTER (own >= k), count(*), count(*) FILTER (other >= k), count(*)) AS low,
    difference_high(count(*) FILTER (own >= k), count(*), count(*) FILTER (other >= k), count(*)) AS high
FROM each
GROUP BY run_id, control;

COMMENT ON MACRO TABLE against_controls IS
'per run and control, the rate of documents that mention the pattern, the control''s rate at the same positions and samples, and the lift with its interval';
