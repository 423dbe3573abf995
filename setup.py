"""The C extension of matrixbayes; everything else is in pyproject.toml.

The environment can ask for other builds, each in a folder of its own:

    MATRIXBAYES_WERROR=1      warnings of the C compiler are errors
    MATRIXBAYES_SANITIZE=1    AddressSanitizer and UndefinedBehaviorSanitizer
    MATRIXBAYES_COVERAGE=1    counts what runs, for gcovr
"""

import os
import sys
import sysconfig
from glob import glob

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

WERROR = os.environ.get("MATRIXBAYES_WERROR", "0") not in ("", "0")
SANITIZE = os.environ.get("MATRIXBAYES_SANITIZE", "0") not in ("", "0")
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

HARDENING = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-fstack-protector-strong"]
HARDENING_LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]

# Python's own flags carry -fwrapv, which hides signed overflow, and -DNDEBUG.
SANITIZERS = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-fno-wrapv",
    "-UNDEBUG",
    "-DMB_ONE_INSTRUCTION_SET",
    "-U_FORTIFY_SOURCE",
    "-O1",
    "-g",
]

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


class BuildExtension(build_ext):
    """Adds the flags that the compiler at hand knows."""

    def build_extension(self, ext):
        if self.compiler.compiler_type == "msvc":
            raise CompileError("matrixbayes is compiled by gcc or clang: it uses their vectors")
        ext.extra_compile_args = ["-std=c11", "-O3", "-fvisibility=hidden", *ARITHMETIC]
        ext.extra_compile_args += WARNINGS + system_includes()
        if SANITIZE:
            ext.extra_compile_args += SANITIZERS
            ext.extra_link_args += ["-fsanitize=address,undefined"]
        elif COVERAGE:
            ext.extra_compile_args += COUNTERS
            ext.extra_link_args += ["--coverage"]
        elif sys.platform == "linux":
            ext.extra_compile_args += HARDENING
        if sys.platform == "linux":
            ext.extra_link_args += HARDENING_LINK
            ext.libraries.append("dl")
        ext.libraries.append("m")
        if WERROR:
            ext.extra_compile_args.append("-Werror")
        super().build_extension(ext)


options = {}
if LIMITED_API:
    options["bdist_wheel"] = {"py_limited_api": "cp311"}
if SANITIZE:
    options["build"] = {"build_base": "build/sanitize"}
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
    cmdclass={"build_ext": BuildExtension},
    options=options,
)
