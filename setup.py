"""The C extension of matrixbayes; everything else is in pyproject.toml.

The environment can ask for other builds, each in a folder of its own:

    MATRIXBAYES_WERROR=1      warnings of the C compiler are errors
    MATRIXBAYES_SANITIZE=1    AddressSanitizer and UndefinedBehaviorSanitizer, of $CC
    MATRIXBAYES_RACES=1       ThreadSanitizer
    MATRIXBAYES_COVERAGE=1    counts what runs, for gcovr

The same sources and tools make the same bits, of the wheel and of the source archive, wherever and
whenever: what is packed has the date of the release, or that of SOURCE_DATE_EPOCH.
"""

import gzip
import json
import os
import re
import stat
import sys
import sysconfig
import tarfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from glob import glob
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent

WERROR = os.environ.get("MATRIXBAYES_WERROR", "0") not in ("", "0")
SANITIZE = os.environ.get("MATRIXBAYES_SANITIZE", "0") not in ("", "0")
RACES = os.environ.get("MATRIXBAYES_RACES", "0") not in ("", "0")
COVERAGE = os.environ.get("MATRIXBAYES_COVERAGE", "0") not in ("", "0")

# Free-threaded builds of Python have no stable ABI before 3.15.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

MACROS = [
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    ("NPY_TARGET_VERSION", "NPY_1_25_API_VERSION"),
]
if LIMITED_API:
    MACROS.append(("Py_LIMITED_API", "0x030B0000"))

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Werror=implicit-function-declaration",
]

# No -ffast-math: infinities mean exact zeros here.  Contraction is off so that
# gcc and clang, and every instruction set, round alike; the files of long sums
# of products switch it on for themselves.
ARITHMETIC = ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]

# Neither the folder of the sources nor those of headers, which pip makes anew each time.
NO_PATHS = ["-g0", f"-ffile-prefix-map={ROOT}=."]

HARDENING = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-fstack-protector-strong"]
RUN_PATH = re.compile("-Wl,(-rpath|-R)")  # Python's own flags may have it
HARDENING_LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]

# Divisions by zero are meant.  clang also sees NULL + 8, and numbers that change in a conversion.
CHECKS = "-fsanitize=address,undefined,float-cast-overflow"
CHECKS_OF_CLANG = f"{CHECKS},implicit-conversion,local-bounds"
# Python's own flags carry -fwrapv, which hides signed overflow, and -DNDEBUG.
SANITIZERS = [
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-fno-wrapv",
    "-UNDEBUG",
    "-DMB_ONE_INSTRUCTION_SET",
    "-U_FORTIFY_SOURCE",
    "-O1",
    "-g",
]

# As it is optimized: what a compiler makes of a loop is what two threads run.
THREADS = ["-fsanitize=thread", "-fno-omit-frame-pointer", "-DMB_ONE_INSTRUCTION_SET", "-g"]

# Branches as they are written: none joined, doubled or left out by the optimizer, and
# whatever thread takes them.
COUNTERS = [
    "--coverage",
    "-fprofile-update=atomic",
    "-DMB_ONE_INSTRUCTION_SET",
    "-U_FORTIFY_SOURCE",
    "-O0",
]


def system_includes():
    """The headers of Python and NumPy, as ones whose warnings are not ours."""
    folders = [
        numpy.get_include(),
        sysconfig.get_path("include"),
        sysconfig.get_path("platinclude"),
    ]
    return [flag for folder in dict.fromkeys(folders) for flag in ("-isystem", folder)]


def side_by_side(compile_files):
    """Compiles as many files at once as there are cores; objects come in the order of files."""

    def compile_each(sources, **options):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = list(pool.map(lambda source: compile_files([source], **options), sources))
        return [file for objects in made for file in objects]

    return compile_each


class BuildExtension(build_ext):
    """Adds the flags that the compiler at hand knows."""

    def build_extension(self, ext):
        if self.compiler.compiler_type == "msvc":
            raise CompileError("matrixbayes is compiled by gcc or clang: it uses their vectors")
        ext.extra_compile_args = ["-std=c11", "-O3", "-fvisibility=hidden", *ARITHMETIC]
        ext.extra_compile_args += WARNINGS + NO_PATHS + system_includes()
        if SANITIZE:
            # gcc's runtime is a library as it is; clang's would be part of each program
            of_clang = "clang" in Path(self.compiler.compiler_so[0]).name
            checks = [CHECKS_OF_CLANG, "-shared-libasan"] if of_clang else [CHECKS]
            ext.extra_compile_args += checks + SANITIZERS
            ext.extra_link_args += checks
        elif RACES:
            ext.extra_compile_args += THREADS
            ext.extra_link_args += ["-fsanitize=thread"]
        elif COVERAGE:
            ext.extra_compile_args += COUNTERS
            ext.extra_link_args += ["--coverage"]
        elif sys.platform == "linux":
            ext.extra_compile_args += HARDENING
        if sys.platform == "linux":
            ext.extra_link_args += HARDENING_LINK
            # where libraries are on this machine is where somebody else may put others
            linker = [word for word in self.compiler.linker_so if not RUN_PATH.match(word)]
            self.compiler.linker_so = linker
            ext.libraries.append("dl")
        ext.libraries.append("m")
        if WERROR:
            ext.extra_compile_args.append("-Werror")
        self.compiler.compile = side_by_side(self.compiler.compile)
        super().build_extension(ext)


def release_date():
    """When this was released, in seconds; of what is not, when the last release was."""
    (day,) = re.findall(r"^date-released: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


os.environ.setdefault("SOURCE_DATE_EPOCH", str(release_date()))
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])


def mode_of(mode):
    """That of a file or folder, whatever the umask was when it came here."""
    return 0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644


def bill_of_materials(distribution):
    """What is in the wheel and what that needs, in the words of CycloneDX.

    All of it is of this project: nothing is copied in or linked from elsewhere.
    """
    name, version = distribution.get_name(), distribution.get_version()
    own = f"pkg:pypi/{name}@{version}"
    needed = {}
    for need in sorted(distribution.install_requires):
        other, limits = re.fullmatch(r"([\w.-]+?)\s*([<>=!~].*)?", need).groups()
        needed[f"pkg:pypi/{re.sub(r'[-_.]+', '-', other).lower()}"] = other, limits or "any"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{own} {EPOCH}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": name,
                "version": version,
                "description": distribution.get_description(),
                "licenses": [{"license": {"id": distribution.metadata.license_expression}}],
                "purl": own,
            },
        },
        "components": [
            {
                "type": "library",
                "bom-ref": ref,
                "name": other,
                "description": "Not in the wheel: installed beside it",
                "scope": "required",
                "purl": ref,
                "properties": [{"name": "matrixbayes:versions", "value": limits}],
            }
            for ref, (other, limits) in needed.items()
        ],
        "dependencies": [{"ref": own, "dependsOn": list(needed)}, *({"ref": r} for r in needed)],
    }


class BuildWheel(bdist_wheel):
    """Adds the bill of materials (PEP 770), and takes the umask out of what is packed."""

    def write_wheelfile(self, wheelfile_base, *args, **kwargs):
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        file = Path(wheelfile_base) / "sboms" / f"{self.distribution.get_name()}.cdx.json"
        file.parent.mkdir(exist_ok=True)
        text = json.dumps(bill_of_materials(self.distribution), indent=2, ensure_ascii=False)
        file.write_text(text + "\n", "utf-8")
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(mode_of(path.stat().st_mode))


class SourceArchive(sdist):
    """Takes out of the archive who packed it, and when."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **kwargs):
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **kwargs)

        def anonymous(member):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime, member.mode = EPOCH, mode_of(os.lstat(member.name).st_mode)
            return member

        archive = Path(f"{base_name}.tar.gz")
        archive.parent.mkdir(parents=True, exist_ok=True)
        with (
            archive.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=EPOCH) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            tar.add(base_dir, filter=anonymous)
        return str(archive)


options = {}
if LIMITED_API:
    options["bdist_wheel"] = {"py_limited_api": "cp311"}
if SANITIZE:
    options["build"] = {"build_base": "build/sanitize"}
elif RACES:
    options["build"] = {"build_base": "build/races"}
elif COVERAGE:
    options["build"] = {"build_base": "build/coverage"}
elif WERROR:
    options["build"] = {"build_base": "build/werror"}

setup(
    ext_modules=[
        Extension(
            "matrixbayes._core",
            sources=sorted(set(glob("csrc/core/*/*.c")) - {"csrc/core/base/mem_libc.c"})
            + sorted(glob("csrc/bind/**/*.c", recursive=True)),
            depends=["setup.py", *sorted(glob("csrc/**/*.h", recursive=True))],
            include_dirs=["csrc"],
            define_macros=MACROS,
            py_limited_api=LIMITED_API,
        )
    ],
    cmdclass={"build_ext": BuildExtension, "bdist_wheel": BuildWheel, "sdist": SourceArchive},
    options=options,
)
