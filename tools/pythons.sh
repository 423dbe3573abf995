#!/usr/bin/env bash
# The one wheel on every Python that it is for:
#
#     tools/pythons.sh find 12      prints the interpreter of Python 3.12, and fails where none is
#     tools/pythons.sh WHEEL        tests the wheel on each that is found
#
# On the oldest, with the oldest of what the wheel needs, all that is quick; on the others, where the
# binary is the same, what calls C and all examples (all that is quick there too, for a release).
# 3.12 gets NumPy and SciPy of between: SciPy 1.12 to 1.16 answer otherwise than older and newer ones.
set -euo pipefail
cd "$(dirname "$0")/.."
OLDEST=('numpy==1.26.*' 'scipy==1.11.*' 'safetensors==0.4.5' 'threadpoolctl==3.1.*')
MIDDLE=('numpy==2.1.*' 'scipy==1.14.*')

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

# Python 3.$1, which is $2, gets the wheel and what stands after it.
prepare() {
    rm -rf "build/venv-3.$1"
    "$2" -m venv "build/venv-3.$1"
    "build/venv-3.$1/bin/python" -m pip install -q --upgrade 'pip>=25.1'
    "build/venv-3.$1/bin/python" -m pip install -q --group test-core "$wheel" "${@:3}"
}

# The suite on Python 3.$1, or what stands after it.
run_suite() {
    printf '\n--- the wheel on %s\n' "$("build/venv-3.$1/bin/python" --version)"
    OMP_NUM_THREADS=1 MATRIXBAYES_WHEEL=$wheel MATRIXBAYES_FIGURES='' MATRIXBAYES_TIER=short \
        "build/venv-3.$1/bin/python" -m pytest -q -n logical --maxprocesses 4 --dist worksteal \
        -p no:cacheprovider -m 'not slow and not exhaustive' \
        --ignore tests/core/test_c_drivers.py --ignore tests/reliability "${@:2}"
}

if [ "$1" = find ]; then
    find_python "$2"
    exit
fi
wheel=$(realpath "$1") ran=() missing=() preparing=()
for minor in 11 12 13 14 15; do
    if ! python=$(find_python "$minor"); then
        missing+=("3.$minor")
        continue
    fi
    pinned=()
    [ "$minor" != 11 ] || pinned=("${OLDEST[@]}")
    [ "$minor" != 12 ] || pinned=("${MIDDLE[@]}")
    prepare "$minor" "$python" "${pinned[@]}" &
    preparing+=($!)
    ran+=("3.$minor")
done
for job in "${preparing[@]}"; do
    wait "$job"
done
for version in "${ran[@]}"; do
    tests=(tests/core tests/house/test_docstrings.py)
    if [ "$version" = 3.11 ] || [ "${MATRIXBAYES_TIER:-}" = release ]; then
        tests=()
    fi
    run_suite "${version#3.}" "${tests[@]}"
done
echo "green on ${ran[*]}; not found: ${missing[*]:-none}" | tee build/pythons.txt
