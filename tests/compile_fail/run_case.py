#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""run_case.py COMPILER PCH_DIRECTORY (--make-pch | CASE.cpp): misuse does not compile, and its twin does.

CASE.cpp has a line "// expect: REGEX" for each misuse: compiled with MISUSE=1, 2, ... it must fail with a
message that the expression finds ({mismatch}: any about an argument's type); with MISUSE=0 it must compile.
The library's headers are precompiled. A case that held is not compiled again until something changes."""

import hashlib
import pathlib
import re
import subprocess
import sys

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"
FLAGS = f"-std=gnu++23 -I{INCLUDE} -Wall -Wextra -Wshadow -Wconversion -Werror".split()

# What compilers say of an argument that does not fit its parameter.
MISMATCH = ("cannot convert|could not convert|no viable conversion|no known conversion|no match|conversion from|"
            "cannot initialize|invalid initialization|invalid conversion|invalid operands|could not bind|"
            "cannot bind|binding reference|discards qualifiers|not marked const|too (few|many) arguments")


def compile_source(compiler, *arguments):
    return subprocess.run([compiler, *FLAGS, *arguments], text=True, capture_output=True)


def main():
    compiler, pch, case = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    header = pch / f"{compiler}.hpp"
    if case == "--make-pch":
        pch.mkdir(parents=True, exist_ok=True)
        header.write_text("#include <kvm/kvm.hpp>\n")
        run = compile_source(compiler, "-x", "c++-header", str(header), "-o", f"{header}.gch")
        print(run.stderr)
        return run.returncode
    precompiled = ["-include-pch", f"{header}.gch"] if compiler.startswith("clang") else ["-include", str(header)]

    key = hashlib.sha256(subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout)
    for path in [pathlib.Path(case), pathlib.Path(__file__), *sorted((INCLUDE / "kvm").rglob("*.hpp"))]:
        key.update(path.read_bytes())
    stamp = pch / key.hexdigest()
    if stamp.exists():
        print("nothing has changed since it held")
        return 0

    expected = [line.replace("{mismatch}", MISMATCH)
                for line in re.findall(r"^// expect: (.*)$", pathlib.Path(case).read_text(), re.M)]
    bad = not expected
    for misuse in range(len(expected) + 1):
        run = compile_source(compiler, *precompiled, f"-DMISUSE={misuse}", "-fsyntax-only", case)
        if misuse == 0:
            fault = run.returncode != 0 and "the right use does not compile"
        elif run.returncode == 0:
            fault = "it compiles"
        else:
            errors = "\n".join(line for line in run.stderr.splitlines() if "error:" in line or "note:" in line)
            fault = not re.search(expected[misuse - 1], errors) and f"no error says: {expected[misuse - 1]}"
        if fault:
            bad = True
            print(f"misuse {misuse}: {fault}\n{run.stderr[:4000]}")
    if not bad:
        stamp.touch()
        print(f"{len(expected)} misuses do not compile, as they should")
    return 1 if bad else 0


sys.exit(main())
