#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""alone_test.py STAMPS COMPILER: every public header compiles alone, without warnings.

The core's without exceptions and RTTI, but for kvm/throw.hpp. STAMPS is a directory that remembers what
compiled, by content, so that only what changed is compiled again. The heaviest headers have a budget of
preprocessed lines."""

import concurrent.futures
import hashlib
import os
import pathlib
import subprocess
import sys

from headers import INCLUDE, closure, public_headers

WARNINGS = "-Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Werror".split()
# Lines of g++ -E -P. <expected>, <span> and <compare> are 13 500 of them.
BUDGET = {"kvm/kvm.hpp": 20_000, "kvm/error.hpp": 6_500, "kvm/exit.hpp": 15_000, "kvm/types.hpp": 4_500}


def options(compiler, header):
    core = header.startswith("kvm/") and header != "kvm/throw.hpp"
    found = ["-std=c++23", f"-I{INCLUDE}", *WARNINGS, *(["-fno-exceptions", "-fno-rtti"] if core else [])]
    if header.endswith("64/syscall.hpp") and compiler.startswith("clang"):  # names registers, includes nothing
        found.append(f"--target={header.split('/')[1]}-linux-gnu")
    return found


def compile_alone(stamps, compiler, version, header):
    """The compiler's complaints, or None."""
    key = hashlib.sha256(repr((version, options(compiler, header))).encode())
    for name in sorted(closure(header)):
        key.update(name.encode() + (INCLUDE / name).read_bytes())
    stamp = stamps / key.hexdigest()
    if stamp.exists():
        return None
    # Twice: a header that lacks #pragma once shows.
    source = f"#include <{header}>\n#include <{header}>\n"
    run = subprocess.run([compiler, *options(compiler, header), "-fsyntax-only", "-x", "c++", "-"],
                         input=source, text=True, capture_output=True)
    if run.returncode == 0:
        stamp.touch()
        return None
    return run.stderr


def main():
    stamps, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    stamps.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([compiler, "--version"], text=True, capture_output=True, check=True).stdout
    headers = public_headers("kvm") + public_headers("vmm")
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda h: compile_alone(stamps, compiler, version, h), headers)
        for header, complaint in zip(headers, results):
            if complaint is not None:
                failures += 1
                print(f"{header} does not compile alone with {compiler}:\n{complaint}")
    if compiler.startswith("g++"):  # another compiler's count is another
        for header, budget in BUDGET.items():
            text = subprocess.run([compiler, *options(compiler, header), "-E", "-P", "-x", "c++", "-"], check=True,
                                  input=f"#include <{header}>\n", text=True, capture_output=True).stdout
            lines = text.count("\n")
            print(f"{header}: {lines} lines, at most {budget}")
            failures += lines > budget
    print(f"{len(headers)} headers with {version.splitlines()[0]}: {failures or 'no'} failures")
    return 1 if failures else 0


sys.exit(main())
