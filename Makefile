# Two commands do everything: `make serve` and `make test`. Both make .venv and install what they need.
.DEFAULT_GOAL := help
.PHONY: help install serve archives dist test lint lint-js docs format clean weaknesses
.SECONDARY:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
# All that come with OsteoLens; fewer are served with, for example, make serve MODELS="knee efficientnet".
MODELS ?= $(patsubst weights/%/card.json,%,$(wildcard weights/*/card.json))
# What `make serve` installs; a container that only serves leaves the web app and tables out.
SERVE_EXTRAS ?= serve,web,batch
export UV_HTTP_TIMEOUT ?= 180
# By uv, which takes seconds where pip takes minutes; by pip where uv cannot be had.
INSTALL = if [ -x $(BIN)/uv ]; then set -- $(BIN)/uv pip install --quiet --python $(BIN)/python; \
  else set -- $(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on; fi; "$$@" -c constraints.txt

help:
	@echo "make serve     install, build the archives, start TorchServe and the web app (Ctrl-C stops both)"
	@echo "make install   install everything, for training and exporting too"
	@echo "make test      install what the tests need and run them all"
	@echo "make lint      ruff and mypy --strict"
	@echo "make lint-js   eslint and tsc on the web app's JavaScript (needs Node)"
	@echo "make weaknesses   compare the pinned packages with the database of known weaknesses"
	@echo "make archives  build model_store/*.mar from weights/"
	@echo "make dist      a wheel and a source distribution in dist/"
	@echo "make format    let ruff format the code"
	@echo "make docs      build the documentation into build/docs; a warning is an error"
	@echo "make clean     delete everything that was built, .venv too"

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11 or newer" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; say which one to use: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "error: no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.uv: $(VENV)/bin/python constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt uv || \
	  echo "uv cannot be had for this machine: pip installs, which takes longer"
	@touch $@

# A stamp per set of extras: a second run installs nothing, a change of what is needed installs again.
$(VENV)/.serve: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing what serving needs"
	@$(INSTALL) -e '.[$(SERVE_EXTRAS)]'
	@touch $@

$(VENV)/.dev: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing what development needs (PyTorch is large: this takes a few minutes, once)"
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.serve $@

install: $(VENV)/.dev

build/%/model.onnx: weights/%/card.json weights/%/weights.safetensors weights/%/graph.onnx | $(VENV)/.serve
	$(BIN)/python export/to_onnx.py weights/$* --out build/$*

# The archive also holds the sources that a worker imports; build_mar.py itself sees whether any has changed.
.PHONY: $(MODELS:%=archive-%)
$(MODELS:%=archive-%): archive-%: build/%/model.onnx | $(VENV)/.serve
	$(BIN)/python export/build_mar.py weights/$* --exports build/$*

archives: $(MODELS:%=archive-%)

# PyTorch comes while the server already answers; EXPLAIN=0 does without it, and with Grad-CAM alone.
EXPLAIN ?= 1
serve: $(VENV)/.serve
	@$(MAKE) --no-print-directory --jobs 2 archives
	@OSTEOLENS_WEB="$${OSTEOLENS_WEB:-127.0.0.1:8000}" OSTEOLENS_ADD_EXPLANATIONS=$(EXPLAIN) $(BIN)/osteolens serve

# Files side by side in three processes of one computing thread each, also on two cores: a third of the time is waiting
# for servers. In the order of tests/support/order.py, as some of the longest files hold few tests and would come last.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# A wheel that needs no checkout; tests/test_wheel.py installs it into an empty folder.
dist: $(VENV)/.uv
	rm -rf dist build/lib
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv build --quiet --out-dir dist; \
	  else $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .; fi
	@ls -l dist

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-js:
	cd web && npm install --no-package-lock --no-fund --no-audit --silent && npm run check

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs build/docs
	@echo "written to build/docs/index.html"

# In an environment of its own, as it pins much.
build/pip-audit/bin/pip-audit: | $(VENV)/bin/python
	$(VENV)/bin/python -m venv build/pip-audit
	build/pip-audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1

weaknesses: build/pip-audit/bin/pip-audit
	$(BIN)/python scripts/weaknesses.py $<

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist model_store/*.mar model_store/*.sha256 logs runs
