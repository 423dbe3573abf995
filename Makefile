# make demo        the whole analysis of the bundled model, into one report.html
# make notebook    the notebooks, in Jupyter; make notebooks runs them and writes what they print
# make test        the test suite, but for what is marked exhaustive
# make test-fast   the suite without what is marked slow or exhaustive either, in minutes
# make test-all    everything: the notebooks that train models, and long statistics too
# make lint        style, types, and csrc without a warning on gcc and clang
# make analyze     csrc without a finding of clang-tidy and gcc -fanalyzer
# make coverage    how much of csrc the tests run, by file, against floors that only rise
# make sanitize    test-fast, and what is slow in C, on a build with AddressSanitizer and UBSan
# make wheel       the wheel, and whether it keeps to the stable ABI that its name promises
# make docs        the documentation, a site that asks for nothing from elsewhere
# make mutations   changes to the code that the suite must notice, one after another
# make bench       measured ratios, as one table
# make clean
#
# All of it happens in .venv, which $(PYTHON) makes: make demo PYTHON=python3.12
# PYTEST goes to pytest: make test-fast PYTEST="-x -k counts"
# JUPYTER goes to Jupyter: make notebook JUPYTER="--no-browser"
# NOTEBOOKS are those to run, by their beginnings: make notebooks NOTEBOOKS="01 05"

PYTHON ?= python3
VENV ?= .venv
OUT ?= study
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
C_FILES := $(sort $(wildcard csrc/*.h csrc/*/*.[ch] csrc/*/*/*.[ch]))
FAST := -m "not slow and not exhaustive"
IN_C := -m "(not slow or in_c) and not exhaustive"
# As many processes as cores, each with one thread for BLAS and torch: two libraries that both want
# every core wait for each other.
RUN := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
TORCH := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# What is imported is what is installed, never the folder that make runs in.
export PYTHONSAFEPATH := 1

.PHONY: demo notebook notebooks test test-fast test-all lint analyze coverage sanitize wheel docs \
    mutations bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.built
	$(BIN)/python -m matrixbayes study --out $(OUT)

notebook: $(VENV)/.built $(VENV)/.notebook
	cd notebooks && exec $(abspath $(BIN))/jupyter lab $(JUPYTER)

notebooks: $(VENV)/.built $(VENV)/.notebook
	$(BIN)/python tools/run_notebooks.py $(NOTEBOOKS)

test: $(VENV)/.built $(VENV)/.test
	$(RUN) -m "not exhaustive" $(PYTEST)

test-fast: $(VENV)/.built $(VENV)/.test
	$(RUN) $(FAST) $(PYTEST)

test-all: $(VENV)/.built $(VENV)/.test $(VENV)/.lint
	$(RUN) $(PYTEST)

# The set-up: each step once, and again when what it depends on has changed.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "matrixbayes needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	    echo "Say which one to use: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import os, sys, sysconfig; \
	    sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { \
	    echo "matrixbayes needs the C headers of $(PYTHON), a package named like python3-dev."; \
	    exit 1; } >&2
	@command -v gcc >/dev/null || command -v cc >/dev/null || { \
	    echo "matrixbayes needs a C compiler, gcc or clang."; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1' 'setuptools>=77' 'numpy>=2'
	@touch $@

# PyPI's torch for Linux comes with gigabytes of CUDA; the one named +cpu does not.
$(VENV)/.torch: $(VENV)/.created constraints.txt
	@echo 'installing $(TORCH) for the CPU'
	@if [ "$$(uname -s)" != Linux ]; then $(PIP) install $(TORCH); \
	else $(PIP) install $(TORCH)+cpu 2>/dev/null \
	    || $(PIP) install --extra-index-url $(TORCH_INDEX) $(TORCH)+cpu; fi
	@touch $@

$(VENV)/.built: $(VENV)/.torch pyproject.toml setup.py $(C_FILES)
	PYTHONWARNINGS=ignore $(PIP) install -c constraints.txt --no-build-isolation --editable '.[hf,plot]'
	@touch $@

# Once: what is written in C later is built by .built alone.
$(VENV)/.notebook: pyproject.toml | $(VENV)/.built
	PYTHONWARNINGS=ignore $(PIP) install -c constraints.txt --no-build-isolation --editable '.[notebook]'
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.created pyproject.toml
	$(PIP) install --group lint
	@touch $@

$(VENV)/.coverage: $(VENV)/.created pyproject.toml
	$(PIP) install --group coverage
	@touch $@

$(VENV)/.audit: $(VENV)/.created pyproject.toml
	$(PIP) install --group audit
	@touch $@

$(VENV)/.docs: $(VENV)/.created pyproject.toml
	$(PIP) install --group docs
	@touch $@

# Everything below runs in the same .venv.

# mypy without its cache: with one it has passed what it refuses in a fresh clone.
lint: $(VENV)/.built $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --cache-dir /dev/null
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	@for compiler in gcc clang; do \
	    command -v $$compiler >/dev/null || { echo "no $$compiler here: not compiled with it"; continue; }; \
	    echo "$$compiler -Werror"; \
	    CC=$$compiler MATRIXBAYES_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
	        --build-lib build/werror/$$compiler --build-temp build/werror/$$compiler/temp || exit 1; \
	done

# csrc as setup.py compiles it, for programs that read it; .clang-tidy says what is looked for.
C_FLAGS = -std=c11 -Icsrc -DPy_LIMITED_API=0x030B0000 -DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION \
    -DNPY_TARGET_VERSION=NPY_1_25_API_VERSION $(shell $(BIN)/python -c 'import numpy, sysconfig; \
    print("-isystem", numpy.get_include(), "-isystem", sysconfig.get_path("include"))')
# A file at a time, two at once; what is said of one comes in one piece.
EACH = printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -n 1 -P 2 sh -c
analyze: $(VENV)/.created
	@if command -v clang-tidy >/dev/null; then \
	    echo 'clang-tidy'; \
	    $(EACH) 'said=$$(clang-tidy --quiet $$0 -- $(C_FLAGS) -DMB_ONE_INSTRUCTION_SET 2>&1) \
	        || { echo "$$said"; exit 1; }'; \
	else echo 'no clang-tidy here: csrc is not read by it'; fi
	@if gcc -fanalyzer -E -x c /dev/null >/dev/null 2>&1; then \
	    echo 'gcc -fanalyzer'; \
	    $(EACH) 'said=$$(gcc $(C_FLAGS) -DMB_ANALYZED -O1 -fanalyzer -Werror -c $$0 -o /dev/null \
	        2>&1) || { echo "$$said"; exit 1; }'; \
	else echo 'no gcc that analyses here: csrc is not read by it'; fi

# The same .venv, with the instrumented build in front of the installed one.  Models and pictures are
# left out: torch and matplotlib are most of what runs there, uninstrumented, and C gets its rows in
# tests/rows as well.
# libstdc++ has to be there before AddressSanitizer looks for __cxa_throw.
PRELOAD = $(foreach name,asan ubsan stdc++,$(shell gcc -print-file-name=lib$(name).so))
sanitize: $(VENV)/.built $(VENV)/.test
	rm -rf build/sanitize
	CC=gcc MATRIXBAYES_SANITIZE=1 $(PIP) install --no-build-isolation --no-deps \
	    --target build/sanitize/site .
	LD_PRELOAD='$(PRELOAD)' PYTHONMALLOC=malloc PYTHONPATH=build/sanitize/site \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(RUN) -p no:cacheprovider $(IN_C) --ignore tests/house \
	    --ignore tests/huggingface --ignore tests/study --ignore tests/cli --ignore tests/pictures \
	    $(PYTEST)

coverage: $(VENV)/.built $(VENV)/.test $(VENV)/.coverage
	CC=gcc $(BIN)/python tools/measure_coverage.py

wheel: $(VENV)/.created $(VENV)/.audit
	rm -rf build/wheel
	$(PIP) wheel --no-deps --wheel-dir build/wheel .
	$(BIN)/abi3audit --strict --verbose build/wheel/*.whl

# Pages of names and notebooks that went may not stay: what is made is made anew.
docs: $(VENV)/.built $(VENV)/.docs
	rm -rf build/docs docs/_made
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -b html -j 2 -n -W --keep-going --quiet \
	    -d build/docs/doctrees docs build/docs/html
	@echo 'build/docs/html/index.html'

mutations: $(VENV)/.built $(VENV)/.test
	$(BIN)/python tools/mutations.py

bench: $(VENV)/.built $(VENV)/.test
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist *.egg-info matrixbayes/*.so .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf docs/_made
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
