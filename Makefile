# make demo        the whole analysis of the bundled model, into one report.html
# make notebook    the notebooks, in Jupyter; make notebooks runs them and writes what they print
# make test        the test suite, but for what is marked exhaustive
# make test-fast   the suite without what is marked slow or exhaustive either, in minutes
# make test-all    everything: the notebooks that train models, and long statistics too
# make check-short   what docs/reliability.md promises, in a minute
# make check         the same at larger sizes, with what is no test: minutes
# make check-release the same at full size, by hand: hours
# make lint        style, types, and csrc without a warning on gcc and clang
# make analyze     csrc without a finding of clang-tidy, gcc -fanalyzer and cppcheck
# make coverage-python  test-all, and the lines of matrixbayes that it does not reach
# make coverage    how much of csrc the tests run, by file, against floors that only rise
# make sanitize    test-fast, and what is slow in C, under AddressSanitizer and UBSan of gcc, or of
#                  clang: make sanitize SANITIZER=clang
# make leaks       the tests that call C under LeakSanitizer: what csrc loses, by stack
# make races       every pair of methods of the core's types in two threads, under ThreadSanitizer
# make wheel       the wheel, and whether it keeps to the stable ABI that its name promises
# make pythons     the wheel on every Python that it is for and that is found here
# make reproducible wheel and source archive, built twice: the same bits
# make lowest      the tests on the lowest version of everything that pyproject.toml allows
# make docs        the documentation, a site that asks for nothing from elsewhere
# make mutations   changes to the code that the suite must notice, one after another
# make bench       measured ratios, as one table
# make fuzz        libFuzzer and atheris, SECONDS (60) for each target: what crashes, and how much ran
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
IN_PARALLEL := -m pytest -n logical --maxprocesses 4 --dist worksteal
RUN := OMP_NUM_THREADS=1 $(BIN)/python $(IN_PARALLEL)
TORCH := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# What is imported is what is installed, never the folder that make runs in.
export PYTHONSAFEPATH := 1
# Where checks write their figures, a line each: what stands in docs/reliability.md, measured.
export MATRIXBAYES_FIGURES := $(abspath build/figures.txt)
# figure NUMBER 'what ran, and what came of it': the last line of a recipe that checks a promise.
figure = @mkdir -p build && printf '%3s  passed  %s  (make %s)\n' $(1) $(2) $@ \
    | tee -a '$(MATRIXBAYES_FIGURES)'

.PHONY: setup demo notebook notebooks test test-fast test-all check-short check check-release no-figures promises \
    lint analyze coverage coverage-python sanitize sanitize-clang leaks races wheel pythons reproducible \
    lowest docs mutations bench fuzz clean
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

# The promises of docs/reliability.md, by tier.  What is no test is a target with a figure.  The gates
# (.ci/run) have all that make check has.
CHECKS := lint analyze coverage fuzz sanitize races pythons
RELEASE_CHECKS := $(CHECKS) sanitize-clang leaks coverage-python reproducible lowest
check-short: export MATRIXBAYES_TIER := short
check: export MATRIXBAYES_TIER := ci
check-release: export MATRIXBAYES_TIER := release
check-short: no-figures promises analyze
	@sort -u '$(MATRIXBAYES_FIGURES)'
check: no-figures promises $(CHECKS)
	@sort -u '$(MATRIXBAYES_FIGURES)'
check-release: no-figures promises $(RELEASE_CHECKS)
	@sort -u '$(MATRIXBAYES_FIGURES)'

no-figures:
	@rm -f '$(MATRIXBAYES_FIGURES)'

promises: $(VENV)/.built $(VENV)/.test
	$(RUN) -m 'promise$(if $(filter short,$(MATRIXBAYES_TIER)), and not slow and not exhaustive)' \
	    $$(grep -rl --include='test_*.py' 'mark\.promise(' tests) $(PYTEST)

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

# There are wheels of atheris for some platforms only; without it targets of Python are left out.
$(VENV)/.fuzz: $(VENV)/.created pyproject.toml
	$(PIP) install --group fuzz || echo 'no atheris can be had here'
	@touch $@

$(VENV)/.audit: $(VENV)/.created pyproject.toml
	$(PIP) install --group audit
	@touch $@

$(VENV)/.docs: $(VENV)/.created pyproject.toml
	$(PIP) install --group docs
	@touch $@

# What all gates need, at once, so that several may then run beside each other.
GROUPS := test lint coverage audit docs
setup: $(VENV)/.torch
	$(PIP) install -c constraints.txt $(GROUPS:%=--group %)
	@touch $(GROUPS:%=$(VENV)/.%)
	$(MAKE) --no-print-directory $(VENV)/.built

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
	$(call figure,15,'csrc by gcc and clang -Wconversion -Wshadow -Werror where found: 0 warnings')

# csrc as setup.py compiles it, for programs that read it; .clang-tidy says what is looked for.
C_FLAGS = -std=c11 -Icsrc -DPy_LIMITED_API=0x030B0000 -DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION \
    -DNPY_TARGET_VERSION=NPY_1_25_API_VERSION $(C_SYSTEM)
C_SYSTEM = $(eval C_SYSTEM := $(shell $(BIN)/python -c 'import numpy, sysconfig; \
    print("-isystem", numpy.get_include(), "-isystem", sysconfig.get_path("include"))'))$(C_SYSTEM)
# Each file by each analyser that is here, and again when it or a header of it has changed; but for
# the targets of fuzzing, where they take abort() for a leak and run under the sanitizers anyway.
ANALYSERS := $(shell gcc -fanalyzer -E -x c /dev/null >/dev/null 2>&1 && echo gcc) \
    $(foreach tool,clang-tidy cppcheck,$(if $(shell command -v $(tool)),$(tool)))
comma := ,
ANALYZED := build/analyzed/$(subst $() ,+,$(strip $(ANALYSERS)))
FOUND_CLEAN := $(patsubst csrc/%.c,$(ANALYZED)/%.clean,$(filter-out csrc/test/fuzz/%,$(filter %.c,$(C_FILES))))
analyze: $(VENV)/.created
	@echo 'csrc by: $(or $(strip $(ANALYSERS)),no analyser that is here)'
	@$(MAKE) --silent --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j 2) \
	    $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) $(FOUND_CLEAN)
	$(call figure,15,'$(words $(FOUND_CLEAN)) C files by $(strip $(ANALYSERS)): 0 findings')

$(ANALYZED)/%.clean: csrc/%.c .clang-tidy
	@mkdir -p $(@D)
	@$(if $(filter gcc,$(ANALYSERS)),gcc $(C_FLAGS) -DMB_ANALYZED -O1 -fanalyzer -Werror -c $< \
	    -o /dev/null -MMD -MP -MT $@ -MF $(@:.clean=.d))
	@$(if $(filter clang-tidy,$(ANALYSERS)),said=$$(clang-tidy --quiet $< -- $(C_FLAGS) \
	    -DMB_ONE_INSTRUCTION_SET 2>&1) || { echo "$$said"; exit 1; })
	@$(if $(filter cppcheck,$(ANALYSERS)),cppcheck --quiet --std=c11 --error-exitcode=1 \
	    --enable=warning$(comma)performance$(comma)portability -Icsrc -DPy_LIMITED_API=0x030B0000 \
	    -DMB_ANALYZED -DMB_ONE_INSTRUCTION_SET $<)
	@touch $@
-include $(FOUND_CLEAN:.clean=.d)

# The same .venv, with an instrumented build in front of the installed one.  Of the gates are what is
# quick, or slow in C, in rooms that call it: elsewhere torch, SciPy and matplotlib are most of what
# runs, uninstrumented; C programs are instrumented by tests of their own.  For a release it is the
# whole suite, and under clang too.
SANITIZER ?= gcc
SANITIZED := build/sanitize/$(SANITIZER)
HARDLY_IN_C := reliability house huggingface study cli pictures reading records diagnostics icl test_dask.py \
    test_plot.py
ON_THEIR_OWN := core/test_c_drivers.py core/test_c_library.py
CALLS_C = $(if $(filter release,$(MATRIXBAYES_TIER)),,$(IN_C) \
    $(patsubst %,--ignore tests/%,$(HARDLY_IN_C) $(ON_THEIR_OWN)))
sanitize: $(VENV)/.test $(SANITIZED)/.made
	$(BIN)/python tools/run_sanitized.py $(SANITIZER) $(SANITIZED)/site \
	    $(IN_PARALLEL) --capture=sys -p no:cacheprovider $(CALLS_C) $(PYTEST)
	$(call figure,1,'$(if $(CALLS_C),what calls C,the whole suite) under both sanitizers of $(SANITIZER): 0 reports')

sanitize-clang:
	$(MAKE) --no-print-directory sanitize SANITIZER=clang

build/sanitize/%/.made: $(VENV)/.built setup.py $(C_FILES) $(shell find matrixbayes -type f -name '*.py*')
	rm -rf $(@D)
	CC=$* MATRIXBAYES_SANITIZE=1 PYTHONWARNINGS=ignore $(BIN)/python setup.py --quiet build \
	    --build-lib $(@D)/site --build-temp $(@D)/temp
	@touch $@

# Minutes a file: each allocation's stack is walked.  TESTS are some alone, and QUICK=--quick leaves out
# Python's small objects: make leaks TESTS=matrix/test_fold
leaks: $(VENV)/.test $(SANITIZED)/.made
	$(BIN)/python tools/count_leaks.py $(QUICK) $(SANITIZER) $(SANITIZED)/site $(TESTS)
	$(call figure,2,'tests that call C under LeakSanitizer: 0 stacks of csrc lost memory$(comma) a planted one is seen')

# Only the core is instrumented: of Python and NumPy it knows their locks.  (ThreadSanitizer wants
# memory where it expects it, which setarch sees to.)
RACES := build/races
races: $(VENV)/.built $(VENV)/.test
	rm -rf $(RACES)/site $(RACES)/reports
	mkdir -p $(RACES)/reports
	CC=gcc MATRIXBAYES_RACES=1 $(PIP) install --no-build-isolation --no-deps --target $(RACES)/site .
	LD_PRELOAD='$(shell gcc -print-file-name=libtsan.so)' PYTHONPATH=$(CURDIR)/$(RACES)/site \
	    TSAN_OPTIONS=log_path=$(CURDIR)/$(RACES)/reports/report:exitcode=0 MATRIXBAYES_TIER=ci \
	    OMP_NUM_THREADS=1 $(shell setarch -R true 2>/dev/null && echo setarch -R) $(BIN)/python $(IN_PARALLEL) \
	    -p no:cacheprovider tests/reliability/test_pairs_in_c.py $(PYTEST)
	@test -z "$$(ls $(RACES)/reports)" || { cat $(RACES)/reports/*; exit 1; }
	$(call figure,7,'pairs of methods of the core under ThreadSanitizer: 0 reports$(comma) 0 suppressions')

# test-all, measured: the lines of matrixbayes that no test reaches, in any process, and the floor in
# pyproject.toml.
coverage-python: $(VENV)/.built $(VENV)/.test $(VENV)/.lint $(VENV)/.coverage
	rm -rf build/coverage-python
	mkdir -p build/coverage-python
	$(RUN) --cov --cov-report=term-missing:skip-covered $(PYTEST)
	$(call figure,17,'every line of matrixbayes is run that does not say why it is not')

coverage: $(VENV)/.built $(VENV)/.test $(VENV)/.coverage
	CC=gcc MATRIXBAYES_FIGURES= $(BIN)/python tools/measure_coverage.py
	$(call figure,17,"csrc in percent: $$(tr -d '{}\n"' < tests/coverage_floors.json)")

wheel: $(VENV)/.created $(VENV)/.audit
	rm -rf build/wheel
	$(PIP) wheel --no-deps --wheel-dir build/wheel .
	$(BIN)/abi3audit --strict --verbose build/wheel/*.whl

# With a wheel that is there already, as the gates have: make pythons MATRIXBAYES_WHEEL=its/path
pythons: $(if $(MATRIXBAYES_WHEEL),,wheel)
	bash tools/pythons.sh "$(or $(MATRIXBAYES_WHEEL),$$(echo build/wheel/*.whl))"
	$(call figure,20,"the wheel: $$(cat build/pythons.txt)")

reproducible: $(VENV)/.created
	$(BIN)/python tools/check_reproducible.py
	$(call figure,23,'wheel and source archive built twice: the same bits')

# The lowest torch for Linux comes with CUDA, 3 GB of it.  PYTHON is best the oldest, 3.11: others
# have no wheels of versions that old.
LOW := build/lowest/bin/python
lowest: wheel
	rm -rf build/lowest
	$(PYTHON) -m venv build/lowest
	$(LOW) -m pip install -q --upgrade 'pip>=25.1' 'setuptools>=77'
	$(LOW) tools/lowest.py > build/lowest.txt
	$(LOW) -m pip install -q -c build/lowest.txt "$$(echo $(CURDIR)/build/wheel/*.whl)[all]"
	$(LOW) -m pip install -q -c build/lowest.txt --group test-core pandas psutil scikit-learn
	$(LOW) -m pip check
	OMP_NUM_THREADS=1 MATRIXBAYES_FIGURES= $(LOW) -m pytest -n logical --maxprocesses 4 --dist worksteal \
	    -p no:cacheprovider $(FAST) --ignore tests/house/test_notebooks.py $(PYTEST)
	$(call figure,23,'the quick suite on the lowest version of everything allowed: green')

# Pages of names and notebooks that went may not stay: what is made is made anew.
docs: $(VENV)/.built $(VENV)/.docs
	rm -rf build/docs docs/_made
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -b html -j 2 -n -W --keep-going --quiet \
	    -d build/docs/doctrees docs build/docs/html
	@echo 'build/docs/html/index.html'

mutations: $(VENV)/.built $(VENV)/.test
	$(BIN)/python tools/mutations.py

SECONDS ?= $(if $(filter release,$(MATRIXBAYES_TIER)),900,60)
fuzz: $(VENV)/.built $(VENV)/.fuzz
	PYTHONPATH= $(BIN)/python tools/fuzz.py --seconds $(SECONDS) $(FUZZ)
	$(call figure,5,"libFuzzer and atheris: $$(cat build/fuzz/total.txt)")

bench: $(VENV)/.built $(VENV)/.test
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist *.egg-info matrixbayes/*.so .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf docs/_made
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
