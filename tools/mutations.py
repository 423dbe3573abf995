"""Change the code where a change must be noticed, and see whether the tests notice.

    python tools/mutations.py                 # all of them, one after another, in a copy
    python tools/mutations.py merge clamp     # those whose name has one of these words in it
    python tools/mutations.py --list

A mutation is one entry of MUTATIONS: what the change does, the file, the text as it is (once in
the file) and as it becomes, and what of the suite must fail.  A text that is not there any more is
an error: the entry is to follow the code.  The tests named must pass on the code as it is, which is
tried first.  Of C only the files that a change reaches are compiled again, at -O1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 240  # seconds for the tests of one entry; a change that makes them hang is noticed


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str  # arguments of pytest, with blanks between them


M = Mutation
EM, STREAMS, COUNTS = "tests/test_em.py", "tests/test_streams.py", "tests/test_counts.py"
DASK, SPECIAL = "tests/test_dask.py", "tests/test_special.py"
EMBEDDING, MATRIX = "tests/test_embedding.py", "tests/test_transition_matrix.py"
FAMILIES = "tests/test_elicitation_families.py"

MUTATIONS = [
    # -- what comes after the first block
    M(
        "merge: the first part alone",
        "matrixbayes/parallel.py",
        "    total = stack.pop()[1]\n",
        "    return stack[0][1]\n    total = stack.pop()[1]\n",
        f"{EM} -k same_bits_for",
    ),
    M(
        "blocks: the first slice alone",
        "matrixbayes/parallel.py",
        "for start in range(0, n_rows, size)]",
        "for start in range(0, min(n_rows, size), size)]",
        f"{EM} -k same_bits",
    ),
    M(
        "blocks: the last rows left out",
        "matrixbayes/parallel.py",
        "for start in range(0, n_rows, size)]",
        "for start in range(0, max(n_rows - size + 1, 1), size)]",
        f"{EM} {COUNTS} -k workers",
    ),
    M(
        "in_order: what is under way at the end is lost",
        "matrixbayes/parallel.py",
        "        while under_way:\n            yield under_way.popleft().result()\n",
        "        if under_way:\n            yield under_way.popleft().result()\n",
        f"{EM} -k 'same_bits or order'",
    ),
    M(
        "in_order: the latest first",
        "matrixbayes/parallel.py",
        "        while under_way:\n            yield under_way.popleft().result()\n",
        "        while under_way:\n            yield under_way.pop().result()\n",
        f"{EM} -k order_whoever",
    ),
    M(
        "in_order: futures not cancelled after an error",
        "matrixbayes/parallel.py",
        "        for future in under_way:\n            future.cancel()\n",
        "        pass\n",
        f"{EM} -k cancelled",
    ),
    M(
        "rows: weights of the first block for all",
        "matrixbayes/_em_rows.py",
        "else self.weights[cut]\n",
        "else self.weights[: cut.stop - cut.start]\n",
        f"{EM} -k same_bits_for",
    ),
    M(
        "rows: shares of the first block for all",
        "matrixbayes/_em_rows.py",
        "yield np.ascontiguousarray(self.log_probs[cut]), share[cut]",
        "yield np.ascontiguousarray(self.log_probs[cut]), share[: cut.stop - cut.start]",
        f"{EM} -k same_bits_for",
    ),
    M(
        "counts: the first block again and again",
        "matrixbayes/_em_counts.py",
        "(mixture, self.rows, table, cut.start, cut.stop, self.weights) for cut in blocks",
        "(mixture, self.rows, table, 0, cut.stop - cut.start, self.weights) for cut in blocks",
        f"{COUNTS} -k workers",
    ),
    M(
        "counts: posterior of the first block alone",
        "matrixbayes/_em_counts.py",
        "return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])",
        "return parts[0]",
        f"{COUNTS} -k workers",
    ),
    M(
        "streams: weights of the first block for all",
        "matrixbayes/_em_streams.py",
        "self.weights[start:end]\n",
        "self.weights[: end - start]\n",
        f"{STREAMS} -k weights",
    ),
    M(
        "streams: posterior of the first block alone",
        "matrixbayes/_em_streams.py",
        "return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])",
        "return parts[0]",
        f"{STREAMS} -k 'from_disk or workers'",
    ),
    M(
        "streams: rows after the first block not read",
        "matrixbayes/_em_streams.py",
        "        for start in range(0, X.shape[0], size):\n",
        "        for start in [0] * -(-X.shape[0] // size):\n",
        f"{STREAMS} -k 'from_disk or workers'",
    ),
    M(
        "streams: a start looks at the first block alone",
        "matrixbayes/_em_streams.py",
        "            start = end\n        return _stacked(picked)",
        "            break\n        return _stacked(picked)",
        f"{STREAMS} -k 'start_finds'",
    ),
    M(
        "streams: the last rows of a chunk that is cut, not the first",
        "matrixbayes/_em_streams.py",
        "            chunk = chunk[:size]\n",
        "            chunk = chunk[-size:]\n",
        f"{STREAMS} -k 'from_disk or start_finds'",
    ),
    M(
        "streams: an error names the first block",
        "matrixbayes/_em_streams.py",
        "yield mixture, block, start, self.kind",
        "yield mixture, block, 0, self.kind",
        f"{STREAMS} -k bad_row",
    ),
    M(
        "dask: the first block of a chunk alone",
        "matrixbayes/dask.py",
        "    return results\n",
        "    return results[:1]\n",
        f"{DASK} -k 'cluster_gives'",
    ),
    M(
        "dask: weights of a chunk's first block for all",
        "matrixbayes/dask.py",
        "else weights[cut]\n",
        "else weights[: cut.stop - cut.start]\n",
        f"{DASK} -k 'cluster_gives or uneven'",
    ),
    M(
        "dask: weights of the first chunk for all",
        "matrixbayes/dask.py",
        "else self.weights[first:end]\n",
        "else self.weights[:length]\n",
        f"{DASK} -k 'cluster_gives or counts_on'",
    ),
    M(
        "pairs: of the first block again and again",
        "matrixbayes/embedding.py",
        "                    to[at : at + many] = values\n",
        "                    to[:many] = values\n",
        f"{EMBEDDING} -k workers",
    ),
    M(
        "continuity: direct pairs of the first cut for all",
        "matrixbayes/embedding.py",
        "arguments = ((self, i[cut], j[cut], metric, embedding_metric) for cut in cuts)",
        "arguments = ((self, i[cut], j[: len(i[cut])], metric, embedding_metric) for cut in cuts)",
        f"{EMBEDDING} tests/test_continuity.py -k 'workers or sample_looks'",
    ),
    M(
        "matrix: parts after the first not merged",
        "matrixbayes/_transition_counts.py",
        "            merged.merge(part)\n",
        "            pass\n",
        f"{MATRIX} -k workers",
    ),
    M(
        "matrix: no context goes along with a part",
        "matrixbayes/_transition_counts.py",
        "part.append(document[max(0, start - order) : end])",
        "part.append(document[start:end])",
        f"{MATRIX} -k workers",
    ),
    M(
        "matrix: an executor is not asked",
        "matrixbayes/_transition_counts.py",
        "if pool[0] is None or total <= LEAST:",
        "if pool[0] is None or pool[0] or total <= LEAST:",
        f"{MATRIX} -k workers",
    ),
    M(
        "elicitation: the model's rows of the first block alone",
        "matrixbayes/_elicitation_objective.py",
        "for start in range(0, n, step))",
        "for start in range(0, step, step))",
        f"{FAMILIES} -k 'resampling_is_seeded'",
    ),
    M(
        "information: the rows of the first block alone",
        "matrixbayes/information.py",
        "    for start in range(0, data.n_rows, step):\n",
        "    for start in range(0, step, step):\n",
        "tests/test_information.py -k numerical",
    ),
    # -- how it is said
    M(
        "importing loads what is not needed",
        "matrixbayes/__init__.py",
        "from importlib import import_module\n",
        "import json\nfrom importlib import import_module\n",
        "tests/test_codebase.py -k importing",
    ),
    # -- C
    M(
        "C, rows: weights of the first tile for all",
        "csrc/core/expectation.c",
        "sample_weight == NULL ? 1.0 : sample_weight[start + i]",
        "sample_weight == NULL ? 1.0 : sample_weight[i]",
        f"{EM} -k slow_twin",
    ),
    M(
        "C, rows: shares of the first tile for all",
        "csrc/core/expectation.c",
        "*r = responsibilities + start * n_components;",
        "*r = responsibilities;",
        f"{EM} -k accumulate",
    ),
    M(
        "C, rows: the log-likelihood of the last tile alone",
        "csrc/core/expectation.c",
        "result->log_likelihood += log_likelihood;",
        "result->log_likelihood = log_likelihood;",
        f"{EM} -k slow_twin",
    ),
    M(
        "C, counts: weights of the first block for all",
        "csrc/core/count_expectation.c",
        "sample_weight == NULL ? 1.0 : sample_weight[at + i]",
        "sample_weight == NULL ? 1.0 : sample_weight[i]",
        f"{COUNTS} -k slow_twin",
    ),
    M(
        "C, counts: entries of a token given twice do not add",
        "csrc/core/counts.c",
        "w->value[*latest] += value;",
        "w->value[*latest] = value;",
        f"{COUNTS} -k 'equal_columns or come_twice'",
    ),
    M(
        "C, Jensen-Shannon: the first piece of wide rows alone",
        "csrc/core/distances.c",
        "add_entropy(n, a + i * n_tokens + at, b + j * n_tokens + at, sum);",
        "add_entropy(n, a + i * n_tokens, b + j * n_tokens, sum);",
        f"{EMBEDDING} -k rows_against",
    ),
    M(
        "C, variation: the first piece of wide rows alone",
        "csrc/core/variation.c",
        "CHOOSE(minima_of_piece, n, n_tokens, n_a, a + at, n_b, b + at, out);",
        "CHOOSE(minima_of_piece, n, n_tokens, n_a, a, n_b, b, out);",
        f"{EMBEDDING} -k rows_against",
    ),
    M(
        "C, divergence: the first block of rows alone",
        "csrc/core/divergence.c",
        "row < x->n_rows && status == MB_OK; row += w.n_rows",
        "row < 1 && status == MB_OK; row += w.n_rows",
        FAMILIES + " -k 'twin or kernel or gradient'",
    ),
    M(
        "C, mixture: counts of the last run alone",
        "csrc/core/mixture.c",
        "            total += seen[i];\n",
        "            total = seen[i];\n",
        "tests/test_mixture.py -k evidence",
    ),
    M(
        "C, sampling: a small shape is not boosted",
        "csrc/core/sample.c",
        "alpha[v] < 1.0 ? log(uniform(random)) / alpha[v] : 0.0",
        "alpha[v] < 0.0 ? log(uniform(random)) / alpha[v] : 0.0",
        "tests/test_mixture.py -k sampl",
    ),
    M(
        "C, M-step: a cap that binds is not told",
        "csrc/core/maximization.c",
        "                *capped = 1;\n",
        "                *capped = 0;\n",
        f"{EM} -k cap_binds",
    ),
    M(
        "C, M-step: a bound that is crossed on the way holds",
        "csrc/core/maximization.c",
        "    return m.level >= 0.0;\n",
        "    return m.level >= -1e300;\n",
        f"{EM} -k crossed",
    ),
    M(
        "C, matrix: what runs have in common is counted from the latest alone",
        "csrc/core/transitions.c",
        "    for (size_t i = counts->n_runs - 1; i-- > 0;) {\n        mb_run *merged;",
        "    for (size_t i = 0; i-- > 0;) {\n        mb_run *merged;",
        "tests/test_transitions.py -k 'cut or merge or arrays'",
    ),
]


class Copy:
    """A copy of the checkout, in which files are changed, compiled and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        # Quickly compiled, for one instruction set: what is looked for is no rounding.
        setup = folder / "setup.py"
        setup.write_text(setup.read_text("utf-8").replace('"-O3"', '"-O1", "-DMB_NO_CLONES"'))
        # What the compiler and the linker were called with, to be called again for one file.
        line = [sys.executable, "setup.py", "build_ext", "--inplace"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        lines = [line for line in done.stdout.splitlines() if " -o build" in line or ".so" in line]
        self.compile = {
            m[1]: line for line in lines if (m := re.search(r" -c (csrc/\S+\.c)", line))
        }
        self.link = [line for line in lines if " -shared " in line or " -bundle " in line][-1]

    def reached(self, name: str) -> list[str]:
        """The C files that a change of a C file or header reaches."""
        if name.endswith(".c"):
            return [name]
        reached, todo = set(), {Path(name).name}
        while todo:
            header = todo.pop()
            for file in self.folder.glob("csrc/*/*.[ch]"):
                text = file.read_text("utf-8")
                if re.search(rf'include "(core/)?{re.escape(header)}"', text):
                    if file.suffix == ".h" and file.name not in reached:
                        todo.add(file.name)
                    reached.add(file.relative_to(self.folder).as_posix())
        return sorted(name for name in reached if name in self.compile)

    def build(self, name: str) -> str:
        """Compiles what a change reaches; what the compiler says where it refuses."""
        if not name.startswith("csrc/"):
            return ""
        for file in self.reached(name):
            line = self.compile[file] + " -w"
            done = subprocess.run(
                line, shell=True, cwd=self.folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return done.stderr
        subprocess.run(self.link, shell=True, cwd=self.folder, check=True, capture_output=True)
        (linked,) = re.findall(r" -o (\S+\.so)", self.link)
        shutil.copy(self.folder / linked, self.folder / "matrixbayes")
        return ""

    def tests_fail(self, tests: str) -> str:
        """What failed first: an empty text where nothing did."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}
        line = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
        try:
            done = subprocess.run(
                line,
                shell=True,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"nothing ended within {LIMIT} s"
        if done.returncode == 0:
            return ""
        if done.returncode == 5:
            sys.exit(f"no test is called so: {tests}")
        if done.returncode < 0 or done.returncode > 128:
            return "the process died"
        found = re.findall(r"^(?:FAILED|ERROR) (?:tests/)?([^\n]+?)(?: - |$)", done.stdout, re.M)
        return found[0] if found else done.stdout[-300:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="of the names of those to try")
    parser.add_argument("--list", action="store_true", help="say what there is")
    options = parser.parse_args()
    chosen = [
        m
        for m in MUTATIONS
        if not options.words or any(word.lower() in m.name.lower() for word in options.words)
    ]
    if options.list:
        print(*(m.name for m in chosen), sep="\n")
        return
    survived = stale = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Copy(Path(folder))
        sound: dict[str, str] = {}
        for m in chosen:
            file, began = copy.folder / m.file, time.monotonic()
            whole = file.read_text("utf-8")
            if m.tests not in sound:
                sound[m.tests] = copy.tests_fail(m.tests)
            if whole.count(m.old) != 1 or sound[m.tests]:
                stale += 1
                reason = sound[m.tests] or f"the text is there {whole.count(m.old)} times"
                print(f"STALE     {m.name}: {reason}", flush=True)
                continue
            file.write_text(whole.replace(m.old, m.new), "utf-8")
            caught = copy.build(m.file) or copy.tests_fail(m.tests)
            file.write_text(whole, "utf-8")
            copy.build(m.file)
            survived += not caught
            seconds = time.monotonic() - began
            word = f"caught    {m.name} ({seconds:.0f} s)" if caught else f"SURVIVED  {m.name}"
            print(f"{word}: {caught.splitlines()[0] if caught else m.tests}", flush=True)
    print(f"{len(chosen) - survived - stale} caught, {survived} survived, {stale} stale")
    sys.exit(bool(survived or stale))


if __name__ == "__main__":
    main()
