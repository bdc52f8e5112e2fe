#!/usr/bin/env bash
# Lint and tests: `tools/check.sh` runs both and fails if either does; `lint` runs the first alone, `all` adds the slow tests.
# Tests run even when lint fails, so that one run shows all there is to mend, and their summary is the last line.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
status=0

run() {
    printf '\n%s\n' "== $*" >&2
    "$python" -m "$@" || status=1
}

typed=()
for path in actors chain experiments net web launch.py; do
    # mypy refuses an empty folder, which an early checkout may have.
    [ -f "$path" ] || [ -n "$(find "$path" -name '*.py' -print -quit 2>/dev/null)" ] && typed+=("$path")
done

run ruff check --quiet .
run ruff format --check --quiet .
[ "${#typed[@]}" = 0 ] || run mypy "${typed[@]}"
lint=$status
[ "${1:-}" = lint ] && exit "$lint"

[ "$lint" = 0 ] || printf '\n%s\n' "lint FAILED (above): this run fails whatever the tests say" >&2
printf '\n%s\n' "== pytest ${PYTEST_ARGS:-}" >&2
slow=()
[ "${1:-}" = all ] && slow=(-m "") # replaces the -m of pyproject.toml
# A process a core, and the tests of a file in one of them, for they share what is dear to set up. `-n 0` is one process.
# Word splitting is wanted: PYTEST_ARGS="-x tests/net".
# shellcheck disable=SC2086
"$python" -m pytest -n auto --dist loadfile "${slow[@]}" ${PYTEST_ARGS:-} || status=$?
exit "$status"
