#!/usr/bin/env bash
# The one wheel on every Python that it is for:
#
#     tools/pythons.sh find 12      prints the interpreter of Python 3.12, and fails where none is
#     tools/pythons.sh WHEEL        tests the wheel on each that is found
#
# On the oldest with the oldest of what it needs, all that is quick; on the others, where the binary
# is the same, what calls C and all examples (all that is quick there too, for a release).
set -euo pipefail
cd "$(dirname "$0")/.."
OLDEST=('numpy==1.26.*' 'scipy==1.11.*' 'safetensors==0.4.5' 'threadpoolctl==3.1.*')

# One on the path that runs, or one of pyenv's.
find_python() {
    local candidate
    for candidate in "python3.$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$1".*/bin/python; do
        if "$candidate" -c 'import sys, venv, ensurepip; print(sys.executable)' 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# Python 3.$1, which is $2, with the wheel and what stands after it.
run_suite() {
    local python=$2 bin=build/venv-3.$1/bin needs=("${@:3}") tests=()
    printf '\n--- the wheel on %s, with %s only\n' \
        "$("$python" --version)" "${needs[*]:-what it needs}"
    if [ ${#needs[@]} = 0 ] && [ "${MATRIXBAYES_TIER:-}" != release ]; then
        tests=(tests/core tests/house/test_docstrings.py)
    fi
    rm -rf "build/venv-3.$1"
    "$python" -m venv "build/venv-3.$1"
    "$bin/python" -m pip install -q --upgrade 'pip>=25.1'
    "$bin/python" -m pip install -q --group test-core "${needs[@]}" "$wheel"
    OMP_NUM_THREADS=1 MATRIXBAYES_WHEEL=$PWD/$wheel MATRIXBAYES_FIGURES='' MATRIXBAYES_TIER=short \
        "$bin/python" -m pytest -q -n logical --maxprocesses 4 --dist worksteal \
        -p no:cacheprovider -m 'not slow and not exhaustive' \
        --ignore tests/core/test_c_drivers.py "${tests[@]}"
}

if [ "$1" = find ]; then
    find_python "$2"
    exit
fi
wheel=$1 ran=() missing=()
for minor in 11 12 13 14; do
    if ! python=$(find_python "$minor"); then
        missing+=("3.$minor")
        continue
    fi
    needs=()
    [ "$minor" != 11 ] || needs=("${OLDEST[@]}")
    run_suite "$minor" "$python" "${needs[@]}"
    ran+=("3.$minor")
done
echo "green on ${ran[*]}; not found: ${missing[*]:-none}" | tee build/pythons.txt
