"""Build table of the compiled modules: one row a module, its C kernels beside it.

Switches (environment): OCIFAST_DEBUG=1 turns every Cython check on, OCIFAST_SANITIZE=1 builds with
ASan and UBSan, OCIFAST_COVERAGE=1 traces lines and instruments the C.
"""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG, SANITIZE, COVERAGE = (
    os.environ.get(f"OCIFAST_{name}", "0") == "1" for name in ("DEBUG", "SANITIZE", "COVERAGE")
)

# compiled module -> C kernels linked into it
MODULES = {
    "sha256": ["sha256.c", "sha256_portable.c", "sha256_shani.c", "sha256_armv8.c"],
    "tar": ["tar_field.c", "tar_pax.c", "tar_paths.c", "tar_sparse.c", "tar_table.c", "tar_entry.c", "tar_parser.c"],
    "zstd_frame": ["zstd_frame.c"],
    "scan": [],
    "arena": ["arena.c"],
}

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "auto_pickle": False,
    "autotestdict": False,
    "embedsignature": False,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "overflowcheck": DEBUG,
    "linetrace": COVERAGE,
}

COMPILE = ["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra", "-D_GNU_SOURCE"]
LINK = ["-pthread"]
if DEBUG or SANITIZE or COVERAGE:
    COMPILE += ["-O1", "-g", "-fno-omit-frame-pointer"]
if SANITIZE:
    COMPILE += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    LINK += ["-fsanitize=address,undefined"]
if COVERAGE:
    COMPILE += ["--coverage", "-DCYTHON_TRACE=1"]
    LINK += ["--coverage"]

HEADERS = [*glob("ext/csrc/*.h"), *glob("ext/ocifast/_native/*.pxd"), "ext/ocifast/__init__.pxd"]


def extension(name: str, kernels: list[str]) -> Extension:
    """Describe one compiled module; `depends` also carries the sources into the sdist."""
    source = f"ext/ocifast/_native/{name}.pyx"
    return Extension(
        f"ocifast._native.{name}",
        [source, *(f"ext/csrc/{kernel}" for kernel in kernels)],
        include_dirs=["ext/csrc"],
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        depends=[source, *HEADERS],
    )


setup(
    ext_modules=cythonize(
        [extension(name, kernels) for name, kernels in MODULES.items()],
        include_path=["ext"],
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=0,
    )
)
