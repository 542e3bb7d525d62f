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

-- The expression is that of nla_ray/text.py; imported rows may have no flag.
CREATE MACRO of_template(flags, token) AS
    coalesce(
        list_has_any(flags, ['special_token', 'template_token'])
        OR coalesce(
            regexp_matches(
                token,
                '^\s*(<[|｜][^<>]+[|｜]?>|</?(s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn)>'
                || '|\[/?(INST|SYSTEM_PROMPT)\]|\[(BOS|EOS|PAD|UNK|CLS|SEP|MASK)\])\s*$'
            ),
            false
        ),
        false
    );

COMMENT ON MACRO of_template IS
'whether a row is about a special token or one of a chat template, where a verbalizer writes its favourite story';

-- As an audit counts (docs/method.md): text that fits the vector no better than most control text is no evidence.
CREATE MACRO fidelity_floors(beyond) AS TABLE
SELECT run_id, CASE WHEN beyond IS NOT NULL THEN quantile_cont(fve_nrm, coalesce(beyond, 0.0)) END AS floor
FROM controls
WHERE outcome <> 'failed' AND explanation_norm IS NOT NULL AND NOT of_template(flags, token)
GROUP BY run_id;

COMMENT ON MACRO TABLE fidelity_floors IS
'per run, the fve_nrm that the share beyond of its control answers does not exceed; null: every answer counts';

-- A token's label, else its place after response_start, says whether the model wrote it itself.
CREATE MACRO prompt_until(text, token_ends, roles, response_start, "position") AS
    CASE
        WHEN coalesce(len(list_filter(roles, lambda role: role <> '')), 0) = 0
            THEN left(text, token_ends[least(position + 1, coalesce(response_start, position + 1))])
        ELSE list_aggregate(
            [
                substring(text, coalesce(token_ends[i], 0) + 1, token_ends[i + 1] - coalesce(token_ends[i], 0))
                FOR i IN range(position + 1)
                IF coalesce(roles[i + 1], '') NOT IN ('assistant', 'thinking', 'tool_call')
            ],
            'string_agg', ''
        )
    END;

COMMENT ON MACRO prompt_until IS
'what a document says up to and with the token at position, without what the model wrote itself';

CREATE MACRO documents_mentioning(pattern, beyond, restated) AS TABLE
WITH searched AS MATERIALIZED (
    SELECT
        run_id, unit_id, control, doc_id, position, coalesce(position::VARCHAR, row_id) AS place,
        bool_or(mentions(explanation_norm, pattern) AND coalesce(fve_nrm > floor, floor IS NULL)) AS mentioned
    FROM all_explanations
    LEFT JOIN fidelity_floors(beyond) USING (run_id)
    WHERE outcome <> 'failed' AND explanation_norm IS NOT NULL AND NOT of_template(flags, token)
    GROUP BY ALL
), repeated AS (
    SELECT DISTINCT run_id, unit_id, doc_id, position
    FROM documents
    INNER JOIN searched USING (run_id, unit_id, doc_id)
    WHERE
        mentioned AND NOT restated AND mentions(text, pattern)
        AND mentions(prompt_until(text, token_ends, roles, response_start, position), pattern)
)
SELECT
    run_id,
    control,
    doc_id,
    count(*) AS positions,
    count(*) FILTER (mentioned AND repeated.run_id IS NULL) AS found
FROM searched
LEFT JOIN repeated USING (run_id, unit_id, doc_id, position)
GROUP BY run_id, control, doc_id;

COMMENT ON MACRO TABLE documents_mentioning IS
'per run, control and document, positions searched (no special tokens) and those whose evidence mentions the pattern; where not restated, without those where the prompt says it too';

CREATE MACRO document_rates(pattern, k := 1, beyond := 0.95, restated := false) AS TABLE
SELECT
    run_id,
    control,
    count(*) AS documents,
    count(*) FILTER (found >= k) AS hits,
    count(*) FILTER (found >= k) / count(*) AS rate,
    wilson_low(count(*) FILTER (found >= k), count(*)) AS low,
    wilson_high(count(*) FILTER (found >= k), count(*)) AS high,
    avg(positions) AS positions
FROM documents_mentioning(pattern, beyond, restated)
GROUP BY run_id, control;

COMMENT ON MACRO TABLE document_rates IS
'per run and control, documents where evidence at k or more positions mentions the pattern; compare only where positions, the mean number searched per document, is alike; beyond := NULL counts at any fidelity, restated := true what the prompt says too';

-- P(at least k of n) at a rate each: what a rate per position amounts to over a document.
CREATE MACRO at_least(k, n, each) AS
    CASE
        WHEN k <= 0 THEN 1.0::DOUBLE
        WHEN k > n THEN 0.0::DOUBLE
        ELSE greatest(0.0, 1.0 - list_sum([
            exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1)) * pow(each, i) * pow(1 - each, n - i)
            FOR i IN range(k)
        ]))
    END;

COMMENT ON MACRO at_least IS 'chance of k or more of n independent cases at the rate each';

-- Positions of one document are alike: the interval of a control's rate is that of the positions which its
-- documents are worth (Kish 1965, Survey Sampling, 8.2); without any contrast, of as many as there are documents.
CREATE MACRO against_controls(pattern, k := 1, beyond := 0.95, restated := false) AS TABLE
WITH found_in AS MATERIALIZED (
    FROM documents_mentioning(pattern, beyond, restated)
), summed AS (
    SELECT run_id, control, sum(found) / sum(positions) AS each, sum(positions) AS searched, count(*) AS documents
    FROM found_in
    WHERE control <> 'real'
    GROUP BY run_id, control
), spread AS (
    SELECT
        run_id,
        control,
        each,
        any_value(searched) AS searched,
        any_value(documents) AS documents,
        sum((found - each * positions) ** 2) * (any_value(documents) / greatest(any_value(documents) - 1, 1))
        / any_value(searched) ** 2 AS variance
    FROM found_in
    INNER JOIN summed USING (run_id, control)
    GROUP BY run_id, control, each
), beside AS (
    SELECT
        run_id,
        control,
        each,
        CASE
            WHEN variance <= 0 OR each IN (0, 1) THEN documents
            ELSE least(each * (1 - each) / variance, searched)
        END AS worth
    FROM spread
), rated AS (
    SELECT
        run_id,
        beside.control,
        count(*) AS documents,
        count(*) FILTER (found >= k) AS hit,
        avg(at_least(k, positions, each)) AS control_rate,
        avg(at_least(k, positions, wilson_high(each * worth, worth))) AS control_high,
        avg(at_least(k, positions, wilson_low(each * worth, worth))) AS control_low
    FROM found_in
    INNER JOIN beside USING (run_id)
    WHERE found_in.control = 'real'
    GROUP BY run_id, beside.control
)
SELECT
    run_id,
    control,
    documents,
    hit / documents AS rate,
    control_rate,
    hit / documents - control_rate AS lift,
    greatest(lift - sqrt((rate - wilson_low(hit, documents)) ** 2 + (control_high - control_rate) ** 2), -1) AS low,
    least(lift + sqrt((wilson_high(hit, documents) - rate) ** 2 + (control_rate - control_low) ** 2), 1) AS high
FROM rated;

COMMENT ON MACRO TABLE against_controls IS
'per run and control, the rate of documents whose evidence at k or more positions mentions the pattern, the rate that the control''s positions would give as many documents, and the lift with its interval: the numbers of an audit whose detector is this pattern, except for artefacts, what an explanation only quotes or denies, families and the correction over detectors';
