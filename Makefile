# Everything a person or CI runs. Only `python3` (3.11 or newer) and `make` are assumed; what else a target needs, it installs.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS := 60

.PHONY: help install up demo test test-slow fuzz lint format docs bench bench-peers bench-memory clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

install: $(STAMP) ## make .venv with the program and all that its tests need

$(STAMP): pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "switchgear needs Python 3.11 or newer as python3; this one is $$(python3 -V)" >&2; exit 1; }
	@test -x $(BIN)/python || { python="$${PYTHON:-$$(python3 tools/interpreter.py)}" && echo "making $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[llama,nvml,plan,postgres]' --group dev
	@touch $@

up: install ## run everything on embedded defaults; Ctrl-C ends it
	$(BIN)/switchgear up

demo: install ## a tour in under a minute: every place called, one broken in mid-answer, one killed
	$(BIN)/switchgear demo

test: install ## all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-slow: install ## the suites that take minutes: memory over a million calls, long fuzzing
	$(BIN)/python -m pytest -m slow

fuzz: install ## a minute of fuzzing for each parser that reads a stranger's bytes; more with SECONDS=600
	$(BIN)/python -m tests.fuzz.http --seconds=$(SECONDS)
	$(BIN)/python -m tests.fuzz.sse --seconds=$(SECONDS)

lint: install ## format, style, types, and which room may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## write the pages of docs/ that are made from the program
	$(BIN)/python tools/docs.py

bench: install ## CPU per request and per chunk beside nginx and Envoy, with policies too; the screen, the physics, the planner (about 12 minutes)
	@status=0; for program in bench bench.screen bench.calibration bench.planner; do $(BIN)/python -m $$program || status=1; done; exit $$status

bench-peers: install ## the same beside others: Portkey and LiteLLM, Presidio and DataFog, Vidur
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.screen_peers
	$(BIN)/python -m bench.vidur

bench-memory: install ## memory over a million calls and of 2,000 open streams
	$(BIN)/python -m bench.memory

clean: ## remove what the targets made
	rm -rf $(VENV) .peers state dist build
