#!/usr/bin/env bash
# All tests with branch coverage; `make test` calls it with the Python to use.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$SECONDS
"$PYTHON" -m coverage erase
# A file stays in one process, for what its tests share.
"$PYTHON" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --cov --cov-report= "$@"
"$PYTHON" -m coverage report --skip-covered
# What everything else stands on is held to a limit of its own.
rooms=$("$PYTHON" -m coverage report --format=total --fail-under=95 \
    --include='converter/*,codecs/*,keys/*') || { echo "coverage of converter, codecs, keys: $rooms %, 95 needed"; exit 1; }
echo "coverage of converter, codecs, keys: $rooms %"
echo "make test took $((SECONDS - start)) s"
