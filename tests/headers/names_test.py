#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What documents name is there: functions, types and constants in coming-from.md, tests in soundness.md and tour.md."""

import functools
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from headerkit import INCLUDE, Header  # noqa: E402

# Whose methods `vm.` and the like have.
OBJECTS = {"kvm": ("Kvm", "KvmOps", "CheckExtension", "Object"), "vm": ("Vm", "VmOps", "CheckExtension", "Object"),
           "vcpu": ("Vcpu", "VcpuOps", "Object"), "device": ("Device", "Object"), "slot": ("Memslot",),
           "exit": ("Exit",)}
WORDS = {"EEXIST", "EINVAL", "KVM", "MAP_ANONYMOUS", "MAP_FIXED"}  # neither ours nor to be looked up


def headers():
    for path in sorted((ROOT / "include").rglob("*.hpp")):
        yield path, path.read_text()


@functools.cache
def members():
    """{class: names in it}, and under "" what is in a namespace; of the core."""
    found = {}

    def walk(decls):
        for decl in decls:
            for one in [decl, *decl.more]:
                found.setdefault(decl.scope[-1] if decl.scope else "", set()).add(one.name)
                found.setdefault("", set()).add(one.name)
                if one.kind == "enum":
                    body = re.sub(r"//.*|= *[^,}]*", "", one.body)
                    found.setdefault(one.name, set()).update(re.findall(r"\w+", body))
            walk(decl.members)

    for path, _ in headers():
        if str(path).startswith(INCLUDE) and path.name not in ("syscall.hpp", "arch.hpp", "kvm.hpp"):
            walk(Header(str(path).removeprefix(INCLUDE).removesuffix(".hpp")).decls)
    for path, text in headers():  # an alias of a template has what that has
        for alias, template in re.findall(r"^using (\w+) = (\w+)<", text, re.M):
            found.setdefault(alias, set()).update(found.get(template, ()))
    return found


@functools.cache
def toolkit():
    return "\n".join(text for path, text in headers() if "/vmm/" in str(path))


def missing(code):
    """The names in a piece of code that are nowhere."""
    known = members()
    for thing, name in re.findall(r"\b(kvm|vm|vcpu|device|slot|exit)\.(\w+)", code):
        if not any(name in known.get(owner, ()) for owner in OBJECTS[thing]):
            yield f"{thing}.{name}"
    for field in re.findall(r"raw\(\)\.(\w+)", code):
        if field not in known["Run"]:
            yield f"Run::{field}"
    for scopes, name in re.findall(r"(?<![\w:])((?:\w+::)+)(\w+)", code):
        owner = scopes.split("::")[-2]
        if scopes.startswith("vmm::"):
            if not re.search(rf"\b{name}\b", toolkit()):
                yield scopes + name
        elif scopes + name in ("cap::x", "kvm::cap::x"):
            continue
        elif owner in ("kvm", "std"):
            if owner == "kvm" and name not in known[""] and name not in ("cap", "exit", "op", "call"):
                yield scopes + name
        elif name not in known.get(owner, ()):
            yield scopes + name
    for name in re.findall(r"(?<![\w:.`])([A-Z]\w+)\b(?!::)", code):
        if name not in known[""] and name not in WORDS and len(name) > 1 and not name.isupper():
            yield name


class Names(unittest.TestCase):
    def test_what_others_call_something_is_called_so_here(self):
        rows = re.findall(r"^\| .*$", (ROOT / "docs/coming-from.md").read_text(), re.M)
        answers = [re.split(r"(?<!\\)\|", row)[6] for row in rows if not row.startswith("| C |")]
        self.assertGreater(len(answers), 200)
        for row, answer in zip((r for r in rows if not r.startswith("| C |")), answers):
            self.assertTrue(answer.strip(), row)
            for code in re.findall(r"`([^`]+)`", answer):
                if not code.startswith("<") and "(2)" not in code:
                    with self.subTest(code=code):
                        self.assertEqual(list(missing(code)), [])

    def test_tests_that_documents_name_are_there(self):
        """A test's name is of the file that was named last before it on its line, or of any where none was."""
        everything = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.cpp"))
        for document in ("tour.md", "soundness.md"):
            for line in (ROOT / "docs" / document).read_text().splitlines():
                text = everything
                for name in re.findall(r"[`(]((?:tests|tools|bench)/[\w/.+-]+|[A-Z]\w+\.[A-Z]\w{8,})[`)]", line):
                    with self.subTest(document=document, name=name):
                        if "/" in name:
                            self.assertTrue((ROOT / name).exists())
                            text = (ROOT / name).read_text() if (ROOT / name).is_file() else everything
                        else:
                            suite, _, test = name.partition(".")
                            self.assertRegex(text, rf"TEST(_F|_P)?\({suite},\s+{test}\)")

    def test_every_weakness_has_its_line(self):
        lines = re.findall(r"^\| (\d+) \|", (ROOT / "docs/soundness.md").read_text(), re.M)
        self.assertEqual(lines, [str(n) for n in range(1, 46)])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
