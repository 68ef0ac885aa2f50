# gmn's commands: `make` lists them. Each sets up .venv first; once that is done, setting up costs nothing.
# The settings below are given on the command line: make demo AUDIO=music

# The Python that a new .venv is made with: 3.11 or newer. Empty: the first such on PATH.
PYTHON =
# demo: a folder of your own audio, its emotion ratings (Emotify's CSV), and where the run goes. gtzan: GTZAN's folder.
AUDIO =
LABELS =
OUTPUT =
# ui: which run to show, and where.
RUN = runs/demo
PORT = 5000
# test and soak: more arguments for pytest.
ARGS =

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo gtzan ui test soak check wheel pin setup clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

ifeq ($(AUDIO),)
PIPELINE = --config configs/pipeline/demo.yaml 'output=$(or $(OUTPUT),runs/demo)'
else
PIPELINE = --config configs/pipeline/audio.yaml 'source=$(AUDIO)' 'output=$(or $(OUTPUT),runs/audio)'
endif
ifneq ($(LABELS),)
PIPELINE += ingest.labels.kind=emotify 'ingest.labels.path=$(LABELS)'
endif

GTZAN = $(or $(OUTPUT),runs/gtzan)

demo: $(STAMP) ## Run the whole chain on audio it composes itself, or on yours: AUDIO=dir [LABELS=file] [OUTPUT=dir]
	$(if $(LABELS),$(if $(AUDIO),,$(error LABELS= belongs to your own audio: give AUDIO= as well)))
	@$(BIN)/python -m jobs.pipeline $(PIPELINE)

gtzan: $(STAMP) ## k-NN, CNN and ResNet on your copy of GTZAN, by its fault-filtered split: AUDIO=dir [OUTPUT=dir]
	$(if $(AUDIO),,$(error gmn downloads nothing: name the folder that holds GTZAN's ten genres with AUDIO=))
	@$(BIN)/python -m jobs.ingest --config configs/ingest/gtzan.yaml 'source=$(AUDIO)' 'output=$(GTZAN)/dataset'
	@$(BIN)/python -m jobs.audit 'dataset=$(GTZAN)/dataset'
	@for kind in knn cnn resnet; do \
		$(BIN)/python -m jobs.train --config configs/train/$$kind.yaml 'dataset=$(GTZAN)/dataset' "output=$(GTZAN)/$$kind" || exit; \
	done
	@$(BIN)/python -m jobs.compare 'models=$(GTZAN)/knn,$(GTZAN)/cnn,$(GTZAN)/resnet' 'dataset=$(GTZAN)/dataset' \
		'output=$(GTZAN)/report'

ui: $(STAMP) ## Show a run's metrics in the browser: [RUN=runs/demo] [PORT=5000]
	@if [ ! -f '$(RUN)/mlflow.db' ]; then \
		echo "There is no $(RUN)/mlflow.db: run 'make demo' first, or name a run with RUN=" >&2; exit 1; fi
	@$(BIN)/python -m mlflow ui --backend-store-uri 'sqlite:///$(RUN)/mlflow.db' \
		--host 127.0.0.1 --port $(PORT) --workers 1

test: $(STAMP) ## Run the fast tests: [ARGS="-k wavenet"]
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

soak: $(STAMP) ## Run the slow tests: [ARGS=...]
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: $(STAMP) ## Lint, format, types, and the floors of the import graph
	@failed=; \
	echo "ruff check"; $(BIN)/ruff check --quiet || failed="$$failed ruff-check"; \
	echo "ruff format --check"; $(BIN)/ruff format --check || failed="$$failed ruff-format"; \
	echo "mypy"; $(BIN)/mypy || failed="$$failed mypy"; \
	echo "lint-imports"; $(BIN)/lint-imports --no-logo || failed="$$failed lint-imports"; \
	if [ -n "$$failed" ]; then echo "make check: failed:$$failed" >&2; exit 1; fi

# The wheel is installed alone into an environment of its own. Its dependencies are .venv's, through a .pth file whose
# path comes last, so gmn and jobs can come from nowhere but the wheel; the smoke runs outside of the source tree.
WHEEL := build/wheel
wheel: $(STAMP) ## Build the wheel into dist/, install it apart from the sources and try it
	@rm -rf build dist
	@echo "Building the wheel"
	@log=$$($(BIN)/python -m build --wheel 2>&1) || { echo "$$log" >&2; exit 1; }
	@$(BIN)/python -m venv --without-pip $(WHEEL)
	@$(BIN)/python -m pip --python $(WHEEL)/bin/python install -qq --disable-pip-version-check --no-deps dist/*.whl
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$(echo $(WHEEL)/lib/python*/site-packages)/dependencies.pth
	@cd $(WHEEL) && bin/python -c 'import gmn, jobs, sys; assert all(m.__file__.startswith(sys.prefix) for m in (gmn, jobs))'
	@cd $(WHEEL) && bin/python -m jobs.train --help > help.txt || { cat help.txt; exit 1; }
	@echo "$$(ls dist/*.whl) installs and runs"

# An environment made anew, in which only torch and the lines with a marker are held, says what the pins are.
PIN := build/pin
pin: $(STAMP) ## Renew constraints.txt with the newest versions that pyproject.toml admits
	@echo "Installing the newest versions into $(PIN) (a few minutes)"
	@rm -rf $(PIN) && mkdir -p build && $(BIN)/python -m venv $(PIN)
	@grep -E '^torch==|; python_version' constraints.txt > $(PIN)/held.txt
	@$(PIN)/bin/python $(PIP_INSTALL) --constraint $(PIN)/held.txt --editable '.[dev]'
	@$(PIN)/bin/python -m pip freeze --exclude-editable > $(PIN)/freeze.txt
	@{ grep '^#' constraints.txt | sed "s/^# Made on .*/# Made on $$($(PIN)/bin/python -c \
		'import platform as p; print(f"Python {p.python_version()}, {p.system()} {p.machine()}.")')/"; \
	awk '{ split($$0, part, "=="); name = tolower(part[1]) } \
		NR == FNR { if (/; python_version/) { held[name]; print }; next } \
		!(name in held) && name !~ /^(nvidia|cuda|triton)/ { sub(/\+.*/, ""); print }' \
		constraints.txt $(PIN)/freeze.txt | LC_ALL=C sort --ignore-case; } > $(PIN)/constraints.txt
	@cp $(PIN)/constraints.txt constraints.txt
	@echo "constraints.txt is renewed: read its diff, then run 'make check test'"

setup: $(STAMP) ## Set up .venv only
	@:

# The stamp is written last, so an interrupted setup is taken up again. What pip had half-installed when it was killed
# has no INSTALLER file yet and would count as present: it is dropped, and installed again.
$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version > /dev/null 2>&1; then \
		for found in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python) none; do \
			$$found -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1 && break; \
		done; \
		if [ $$found = none ]; then \
			echo "gmn needs Python 3.11 or newer with its venv module; $(or $(PYTHON),no python3 on PATH) is not one." >&2; \
			echo "Install it (on Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$($$found -c 'import platform, sys; print(sys.executable, platform.python_version())')"; \
		$$found -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing gmn into $(VENV) (a few minutes the first time)"
	@for info in $(VENV)/lib/python*/site-packages/*.dist-info; do [ -e "$$info/INSTALLER" ] || rm -rf "$$info"; done
	@$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean: ## Remove build products and caches; .venv and runs/ stay
	rm -rf build dist gmn.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
