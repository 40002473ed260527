# A replicated exchange. `make help` lists the targets; all they need is python3 >= 3.11 and make.

PYTHON ?= python3
# COMPILED=1 with any target: in an environment of its own, where the hot modules are compiled (setup.py).
COMPILED ?=
VENV   := $(if $(COMPILED),.venv-compiled,.venv)
BIN    := $(VENV)/bin
ROOMS  := matching oms protocols cluster gateway marketdata exchange
INSTALL := EXCHANGE_COMPILED=$(COMPILED) $(BIN)/python -m pip install --quiet $(if $(COMPILED),,--editable)
SOURCES := pyproject.toml $(if $(COMPILED),setup.py $(shell find $(ROOMS) -name '*.py'))
# What is installed is tested, not what lies in this folder.
PYTEST := $(BIN)/python $(if $(COMPILED),-P) -m pytest $(if $(COMPILED),-o pythonpath=)

# Arguments for a single run: make demo KEEP=1, make test ARGS="-k session", make bench TRIALS=5
KEEP   ?=
ARGS   ?=
TRIALS ?= 20
SEED   ?= 1
SEEDS  ?= 2000
SOAK_SECONDS ?= 1800
BENCH_SECONDS ?= 8
HISTORY ?= bench/history.jsonl
CHAOS_SECONDS ?= 90
FIND_HEADERS := import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
JSPUREFIX := jspurefix@5.11.4

.DEFAULT_GOAL := help
.PHONY: help install compiled .compiler demo test test-compiled check bench bench-report bench-smoke bench-peers simulate mutation chaos soak docker-test interop clean

help:  ## list the targets
	@awk -F':[^#]*## +' '/^[a-z-]+:[^#]*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is older than 3.11; name another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# One stamp per set of packages; each is made again when pyproject.toml changes, and when the source
# does where that is compiled.
$(VENV)/.runtime: $(SOURCES) | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/python
	$(INSTALL) '.[test]'
	@touch $(VENV)/.runtime $@

$(VENV)/.dev: $(SOURCES) | $(BIN)/python
	$(INSTALL) '.[test,dev]'
	@touch $(VENV)/.runtime $(VENV)/.test $@

$(VENV)/.interop: $(SOURCES) | $(BIN)/python
	$(INSTALL) '.[test,interop]'
	@if command -v npm >/dev/null; then \
	  npm install --silent --prefix $(VENV)/npm $(JSPUREFIX) && \
	  npm run --silent --prefix $(VENV)/npm/node_modules/jspurefix unzip-repo >/dev/null; \
	else echo "make: npm is missing, so jspurefix will not judge FIX" >&2; fi
	@touch $(VENV)/.runtime $(VENV)/.test $@

$(VENV)/.bench: $(SOURCES) | $(BIN)/python
	$(INSTALL) '.[bench]'
	@touch $(VENV)/.runtime $@

$(VENV)/.peers: $(SOURCES) | $(BIN)/python
	$(INSTALL) '.[peers]'
	@touch $(VENV)/.runtime $@

install: $(VENV)/.runtime  ## make .venv with the command `exchange` in it
	@echo "$(BIN)/exchange is ready; try: $(BIN)/exchange --help"

compiled: .compiler  ## .venv-compiled: the same exchange, its hot modules compiled
	@$(MAKE) --no-print-directory COMPILED=1 .venv-compiled/.test install

.compiler:
	@command -v cc >/dev/null && $(PYTHON) -c '$(FIND_HEADERS)' || { \
	  echo "make: nothing is compiled without cc and Python.h; Debian: apt-get install gcc python3-dev" >&2; exit 2; }

demo: $(VENV)/.runtime  ## a real exchange; its leader is killed (KEEP=1: stays up)
	$(BIN)/exchange demo $(if $(KEEP),--keep) $(ARGS)

test: $(VENV)/.test  ## the whole suite that needs nothing but this machine
	$(PYTEST) -m "not docker and not chaos and not interop" $(ARGS)

test-compiled: compiled  ## the tests of what is compiled, compiled (2 to 4 minutes)
	@$(MAKE) --no-print-directory COMPILED=1 test ARGS="tests/matching tests/oms tests/protocols tests/gateway/test_ouch_*.py tests/cluster/test_build.py $(ARGS)"

check: $(VENV)/.dev  ## ruff, mypy --strict, the layer rules: seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/test_layers.py

bench: $(VENV)/.runtime  ## every measurement, and a line in HISTORY (TRIALS=20)
	$(BIN)/exchange bench all --seconds $(BENCH_SECONDS) --trials $(TRIALS) --history $(HISTORY) $(ARGS)

bench-report: $(VENV)/.bench  ## the last run of HISTORY as a page with plots: bench.html
	$(BIN)/exchange bench report $(HISTORY) --html bench.html

bench-smoke: $(VENV)/.runtime  ## a second over each protocol: is anything lost?
	$(BIN)/exchange bench all --smoke

bench-peers: $(VENV)/.peers  ## pysyncobj, etcd, NATS, QuickFIX ... for the same work
	$(BIN)/python -m bench.peers --seconds $(BENCH_SECONDS) $(ARGS)

simulate: $(VENV)/.runtime  ## the cluster under simulated faults (SEEDS=2000, SEED=1)
	$(BIN)/exchange simulate --seed $(SEED) --seeds $(SEEDS)

mutation: $(VENV)/.runtime  ## each safety rule taken out: is it noticed? (minutes)
	$(BIN)/exchange simulate --mutations --seeds 10000

chaos: $(VENV)/.test  ## processes, cables, disks broken under load (CHAOS_SECONDS=90)
	CHAOS_SECONDS=$(CHAOS_SECONDS) $(PYTEST) -m chaos -v tests/chaos $(ARGS)

soak: $(VENV)/.runtime  ## full load, no fault, no election (SOAK_SECONDS=1800)
	$(BIN)/exchange bench soak --seconds $(SOAK_SECONDS) --json

docker-test: $(VENV)/.test  ## containers: leader killed, paused, cut off (needs Docker)
	$(PYTEST) -m docker tests/docker $(ARGS)

interop: $(VENV)/.interop  ## other people's programs read what we send
	$(PYTEST) -m interop tests/interop $(ARGS)
	@command -v tshark >/dev/null || { \
	  echo "make: tshark is missing, so NOBODY JUDGED MoldUDP64; Debian: apt-get install tshark" >&2; }

clean:  ## remove .venv*, caches, build products; keep data folders
	rm -rf .venv .venv-compiled build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
