#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""tidy_test.py STAMPS: clang-tidy has nothing to say of the core.

STAMPS is a directory that remembers what it has seen, by content: only what changed is checked again."""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys

from headers import INCLUDE, ROOT, closure

FLAGS = ["-std=gnu++23", f"-I{INCLUDE}", "-fno-exceptions", "-fno-rtti"]


def check(stamps, source):
    """What clang-tidy says, or None."""
    text = source.read_text()
    key = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + text.encode())
    needed = set().union(*(closure(name) for name in re.findall(r"#include <(kvm/.*?)>", text)))
    for name in sorted(needed):
        key.update(name.encode() + (INCLUDE / name).read_bytes())
    stamp = stamps / key.hexdigest()
    if stamp.exists():
        return None
    run = subprocess.run(["clang-tidy-19", "--quiet", source, "--", *FLAGS], text=True, capture_output=True)
    if run.returncode == 0:
        stamp.touch()
        return None
    return run.stdout


def main():
    stamps = pathlib.Path(sys.argv[1])
    stamps.mkdir(parents=True, exist_ok=True)
    sources = [path for path in sorted((ROOT / "src/kvm").rglob("*.cpp"))
               if path.parent.name in ("kvm", os.uname().machine)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [text for text in pool.map(lambda s: check(stamps, s), sources) if text is not None]
    print("".join(complaints))
    print(f"{len(sources)} sources, {len(complaints) or 'no'} complaints")
    return 1 if complaints else 0


sys.exit(main())
