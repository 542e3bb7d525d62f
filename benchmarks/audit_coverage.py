"""Do an audit's 95 % intervals cover the truth 95 % of the time, for documents whose rows are alike?

    python -m benchmarks.audit_coverage

Documents have rows that are positive with a probability of their own (beta-binomial, correlation 0.2 within a
document). Four intervals are held to what they are about: Wilson's on documents (any positive row), Wilson's
on the effective sample (rows), the cluster bootstrap (rows), and Wilson's on rows taken for independent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from benchmarks._common import write_result
from nla_ray.intervals import Interval, cluster_bootstrap, clustered_wilson, newcombe, wilson

CORRELATION = 0.2
DOCUMENTS, ROWS, RATES = (100, 300, 1000), (2, 10, 40), (0.01, 0.05, 0.1, 0.3)


def main() -> None:
    """Simulate every case and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2000, help="corpora per case")
    parser.add_argument(
        "--bootstraps", type=int, default=400, help="corpora per case for the bootstrap, slow"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cases = list(simulated(args.repeats, args.bootstraps, args.seed))
    named = [name for name in cases[0] if name.startswith("covers_")]
    outside = {
        name: [case["case"] for case in cases if not 0.93 <= float(str(case[name])) <= 0.97] for name in named
    }
    write_result(
        "audit-coverage",
        "cpu",
        {"config": vars(args), "correlation": CORRELATION, "cases": cases, "outside": outside},
    )


def simulated(repeats: int, bootstraps: int, seed: int) -> Iterator[dict[str, object]]:
    """Coverage of each interval in each case."""
    for documents, rows, rate in product(DOCUMENTS, ROWS, RATES):
        rng = np.random.default_rng([seed, documents, rows, round(rate * 1000)])
        k = drawn(rng, rate, repeats, documents, rows)
        n = np.full(documents, float(rows))
        any_positive, truth = (k > 0).sum(axis=1), any_rate(rate, rows)
        other = (drawn(rng, rate, repeats, documents, rows) > 0).sum(axis=1)

        def of_rows(
            interval: Callable[[np.ndarray, np.ndarray], Interval],
            most: int,
            rate: float = rate,
            k: np.ndarray = k,
            n: np.ndarray = n,
        ) -> float:
            return covered((interval(one, n) for one in k[:most]), rate)  # fmt: skip

        yield {
            "case": f"{documents} documents, {rows} rows, {rate:g}",
            "positive_documents": float(any_positive.mean()),
            "covers_documents_wilson": covered((wilson(x, documents) for x in any_positive), truth),
            "covers_difference_newcombe": covered(
                (newcombe(x, documents, y, documents) for x, y in zip(any_positive, other, strict=True)), 0.0
            ),
            "covers_rows_effective_wilson": of_rows(clustered_wilson, repeats),
            "covers_rows_bootstrap": of_rows(cluster_bootstrap, bootstraps),
            "covers_rows_as_if_independent": of_rows(lambda x, m: wilson(x.sum(), m.sum()), repeats),
        }


def drawn(rng: np.random.Generator, rate: float, repeats: int, documents: int, rows: int) -> np.ndarray:
    """Positive rows [repeats, documents]."""
    spread = 1 / CORRELATION - 1
    return rng.binomial(rows, rng.beta(rate * spread, (1 - rate) * spread, (repeats, documents))).astype(
        float
    )


def any_rate(rate: float, rows: int) -> float:
    """P(a document has a positive row): 1 - E[(1 - q)^rows] of the beta distribution."""
    spread = 1 / CORRELATION - 1
    a, b = rate * spread, (1 - rate) * spread
    return 1 - float(np.prod([(b + i) / (a + b + i) for i in range(rows)]))


def covered(intervals: Iterator[Interval], truth: float) -> float:
    """Share of intervals that hold the truth."""
    return float(np.mean([low <= truth <= high for low, high in intervals]))


if __name__ == "__main__":
    main()
