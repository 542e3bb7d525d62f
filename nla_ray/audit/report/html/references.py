"""Where the report bears on what frameworks ask to be documented: references, no claim of conformity."""

from __future__ import annotations

REFERENCES: tuple[tuple[str, str, str, str], ...] = (
    (
        "Subject; method and provenance",
        "MEASURE 2.1: test sets, metrics and tools of testing are documented",
        "7.5 documented information; A.6.2.7 technical documentation; A.7.5 data provenance",
        "Section 1, point 1: general description of the model (its name and version only)",
    ),
    (
        "Rates against controls; all numbers",
        "MEASURE 2.3: performance or assurance criteria are measured and documented",
        "9.1 monitoring, measurement, analysis and evaluation; A.6.2.4 verification and validation",
        "Section 2, point 1: evaluation strategies and results, with criteria and metrics",
    ),
    (
        "Findings, with their evidence",
        "MEASURE 2.6: safety risks; 2.7: security; 2.10: privacy, where detectors are of these",
        "8.2 AI risk assessment, as an input to it",
        "Section 2, point 1: evaluation results",
    ),
    (
        "Gates; reading guide; what could have been seen",
        "MEASURE 2.13: effectiveness of the metrics and processes of measuring",
        "9.1: the methods by which results are valid",
        "Section 2, point 1: methodology",
    ),
    (
        "What this audit cannot claim",
        "MEASURE 1.1: what cannot be measured is documented; 2.5: limits of generalization",
        "",
        "Section 2, point 1: identification of limitations",
    ),
    (
        "Change between two runs",
        "MEASURE 2.4: behavior is monitored in production; 3.1: risks are tracked over time",
        "9.1; A.6.2.6 operation and monitoring",
        "",
    ),
    (
        "Review of detectors by people; signature",
        "MEASURE 1.3: assessors who did not build the system; 4.2: results are checked by experts",
        "9.1: who analyses and evaluates, and when",
        "",
    ),
)
"""Part of the report, then what AI 100-1 (MEASURE), ISO/IEC 42001:2023 and Annex XI name; empty: nothing."""
