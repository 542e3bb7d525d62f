#!/usr/bin/env bash
# The job of one week, on the head of its cluster: decode the week's corpus, then audit what was decoded.
# The same week again goes on where it stopped. Needs NLA_JOBS, NLA_CORPUS, NLA_TABLES and NLA_REPORTS.
set -euo pipefail

week=$1
configs=${NLA_CONFIGS:-$(dirname "$0")}
tables=$NLA_TABLES/$week
quarantine=6  # too many rows are in quarantine, and all others are committed

code=0
python "$NLA_JOBS/decode_corpus.py" --config "$configs/decode.yaml" \
  "corpus.paths=[$NLA_CORPUS/$week/]" "output=$tables" || code=$?
if [ "$code" != 0 ] && [ "$code" != "$quarantine" ]; then
  exit "$code"
fi
python "$NLA_JOBS/audit_sweep.py" --config "$configs/audit.yaml" \
  "source.tables=$tables" "output=$NLA_REPORTS/$week"
exit "$code"
