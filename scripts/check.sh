#!/usr/bin/env bash
# Everything that must hold before a commit: lint, format, types, tests. With --fast all but the tests marked slow; other
# words go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=()
if [[ ${1:-} == --fast ]]; then
    shift
    tests=(-m "not slow")
fi
ruff check .
ruff format --check .
mypy
# A worker for each core that may be used; each loads torch, so that more than 8 cost more than they bring.
workers=$(python -c "from signetscan.concurrency import cpu_count; print(min(8, cpu_count()))")
pytest --numprocesses "$workers" --dist worksteal ${tests[@]+"${tests[@]}"} "$@"
