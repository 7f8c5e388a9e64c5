# The commands of the project; `make help` lists them. Everything runs in .venv, made from the locks
# in requirements/: run.txt for what running needs, dev.txt for what developing needs beside it, and
# bench.txt for what draws the picture of the benchmarks.

PYTHON ?= python3
LISTEN ?= 127.0.0.1:50051
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/run.stamp
DEV    := $(VENV)/dev.stamp
BENCH  := $(VENV)/bench.stamp

PYTEST := $(BIN)/python -m pytest

GENERATED := generated
PROTOS := $(sort $(wildcard protos/graphattachments/v1/*.proto))
PROTOC  = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --fatal_warnings \
            --proto_path=protos --proto_path=$$($(BIN)/python -c 'import google.rpc as m; print(m.__path__[0])')/../..
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
            --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test faults abuse fuzz bench check check-generated format generate lock

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN)  ## upload a real file and every kind of item through a gateway on a local Graph
	$(BIN)/python examples/demo.py

run: $(RUN)  ## the same, and stay up, with grpcurl lines to paste
	$(BIN)/python examples/demo.py --stay --listen $(LISTEN)

test: $(DEV)  ## the tests
	$(PYTEST)

faults: $(DEV)  ## a campaign of faults between gateway and Graph, at least 3,000 cases; ARGS="--help"
	$(BIN)/python -m tests.faults $(ARGS)

abuse: $(DEV)  ## attacks beside honest callers, within five minutes; ARGS="--help"
	$(BIN)/python -m tests.abuse $(ARGS)

fuzz: $(DEV)  ## random inputs for all that reads what others wrote, within five minutes; ARGS="--help"
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(BENCH)  ## what it costs, side by side with what could stand in its place; ARGS="--help"
	$(BIN)/python -m benchmarks $(ARGS)

check: $(DEV)  ## everything that CI does
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(MAKE) --no-print-directory check-generated
	$(BIN)/coverage erase
	$(MAKE) --no-print-directory test PYTEST="$(BIN)/coverage run -m pytest"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(DEV)  ## put the code in its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Google's error details are in the descriptor set, so that grpcurl decodes them with -protoset too.
generate: $(DEV)  ## compile protos/ into generated/
	rm -rf $(GENERATED)/graphattachments
	mkdir -p $(GENERATED)
	$(PROTOC) --python_out=$(GENERATED) --mypy_out=quiet:$(GENERATED) $(PROTOS)
	$(PROTOC) --grpc_python_out=$(GENERATED) --mypy_grpc_out=quiet:$(GENERATED) $(filter %_service.proto,$(PROTOS))
	$(PROTOC) --descriptor_set_out=$(GENERATED)/graphattachments/v1/graphattachments.protoset \
	  --include_imports --include_source_info $(PROTOS) google/rpc/error_details.proto
	touch $(GENERATED)/graphattachments/py.typed

check-generated: $(DEV)
	$(MAKE) --no-print-directory generate GENERATED=build/generated
	diff --recursive --exclude=__pycache__ build/generated generated || \
	  { echo 'generated/ is stale: run `make generate`'; exit 1; }

lock: $(DEV)  ## resolve the dependencies anew, within pyproject.toml's bounds
	$(UV_COMPILE) --extra server --extra emulator --group dev --output-file requirements/dev.txt
	$(UV_COMPILE) --extra server --extra emulator --group build --constraint requirements/dev.txt --output-file requirements/run.txt
	$(UV_COMPILE) --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or later is needed, this is " + sys.version.split()[0] + ": name another one, as in `make PYTHON=python3.12 ...`")'
	$(PYTHON) -m venv $(VENV)

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement
EDITABLE = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

$(RUN): requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) requirements/run.txt
	$(EDITABLE)
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) requirements/dev.txt
	$(EDITABLE)
	@touch $@ $(RUN)

$(BENCH): requirements/bench.txt $(DEV)
	$(INSTALL) requirements/bench.txt
	@touch $@
