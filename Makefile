# make swarm              set up on first use, then run a swarm with its web pages    ARGS="--actors 200 --ledger ordered"
# make test               set up, then lint and tests                                 PYTEST_ARGS="-x tests/net"
# make test-all           the same with the slow tests
# make lint | format      ruff and mypy alone | let ruff mend what it can
# make setup              only set up                                                 PYTHON=/path/to/python3
# make lock               write the locks anew                                        ARGS=--upgrade
# make clean              remove caches; `make distclean` also .venv and node_modules

.PHONY: help swarm demo test test-all lint format setup setup-test experiments lock clean distclean
.DEFAULT_GOAL := help
export PYTHON

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# `exec`: no shell stands between make and Python, so Ctrl-C reaches the one process that winds the swarm up.
swarm: setup
	@exec .venv/bin/python launch.py swarm $(ARGS)

demo: swarm

test: setup-test
	@exec tools/check.sh

test-all: setup-test
	@exec tools/check.sh all

lint: setup-test
	@exec tools/check.sh lint

format: setup-test
	@.venv/bin/python -m ruff check --fix --quiet . ; exec .venv/bin/python -m ruff format .

setup:
	@exec tools/setup.sh

setup-test:
	@exec tools/setup.sh test

# scikit-learn and matplotlib, for `launch.py experiment`
experiments:
	@exec tools/setup.sh experiments

lock: setup-test
	@exec tools/lock.sh $(ARGS)

clean:
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov build dist *.egg-info
	@find . -path ./.venv -prune -o -path '*/node_modules' -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean
	@rm -rf .venv web/node_modules
