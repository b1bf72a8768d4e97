"""Build table of the compiled modules: one row a module, its C kernels beside it.

Switches (environment): OCIFAST_DEBUG=1 turns every Cython check on, OCIFAST_SANITIZE=1 builds with
ASan and UBSan, OCIFAST_COVERAGE=1 traces lines and instruments the C. OCIFAST_PURE=1 leaves the
modules out: an editable install compiles in a throw-away folder, `build_ext --inplace` does not.
"""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG, SANITIZE, COVERAGE, PURE = (
    os.environ.get(f"OCIFAST_{name}", "0") == "1"
    for name in ("DEBUG", "SANITIZE", "COVERAGE", "PURE")
)

# compiled module -> C kernels linked into it
MODULES = {
    "sha256_kernel": "sha256_kernel sha256_portable sha256_shani sha256_armv8",
    "sha256": "sha256 sha256_lanes",
    "tar": "tar_field tar_pax tar_paths tar_sparse tar_table tar_entry tar_parser",
    "zstd_frame": "zstd_frame",
    "scan": "",
    "chunk": "chunk",
    "toc_cut": "toc_cut toc_split toc_hash toc_json toc_text chunk tar_table",
    "tree_walk": "tree_walk tree_xattr tree_add_xattrs tree_parents tar_table",
    "tree_tar": "tree_tar tree_header tree_parents tar_table",
    "tar_splice": "tar_splice tree_header tar_table",
    "path_key": "path_key",
    "tree_content": "tree_content tree_parents toc_hash tar_table",
    "tree_merge": "tree_merge tree_nodes tree_flatten tar_table",
    "tree_join": "tree_join tar_table",
    "tar_content": "tar_content toc_hash tar_table",
    "tree_meta": "",
    "tar_files": "tar_files tar_files_write file_homes tree_meta tree_parents tar_table",
    "tree_place": "tree_place tree_place_folders tree_homes file_homes tree_meta tree_parents"
    " tree_remove tar_table",
    "tree_open": "tree_open",
    "arena": "arena",
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


def extension(name: str, kernels: str) -> Extension:
    """Describe one compiled module; `depends` also carries the sources into the sdist."""
    source = f"ext/ocifast/_native/{name}.pyx"
    return Extension(
        f"ocifast._native.{name}",
        [source, *(f"ext/csrc/{kernel}.c" for kernel in kernels.split())],
        include_dirs=["ext/csrc"],
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        depends=[source, *HEADERS],
    )


setup(
    ext_modules=cythonize(
        [extension(name, kernels) for name, kernels in MODULES.items() if not PURE],
        include_path=["ext"],
        # Cython compares times, not directives: every set of directives has its own C
        build_dir="build/cython" + "-debug" * DEBUG + "-coverage" * COVERAGE,
        compiler_directives=DIRECTIVES,
        nthreads=0,
    )
)
