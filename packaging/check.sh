#!/bin/sh
# Format, lint, types, import contracts: what must hold before a test is worth running.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
$bin/ruff check --quiet .
$bin/mypy
arrows=$($bin/lint-imports --no-cache) || { echo "$arrows" >&2; exit 1; }
$bin/python packaging/rules.py
