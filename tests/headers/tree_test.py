#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Rules that every file of the tree keeps: licence, length, format, and a README that shows what compiles."""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {".hpp", ".cpp", ".h", ".c", ".S", ".py", ".cmake", ".in"}
LONGEST = 400


def tracked():
    """Files of the repository, or of the tree where this is no clone."""
    run = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if run.returncode == 0:
        names = [name for name in run.stdout.split("\0") if name]
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
        names = [name for name in names if not re.match(r"build/|\.git/|.*__pycache__", name)]
    return [name for name in sorted(names) if (ROOT / name).is_file()]


def is_code(name):
    path = ROOT / name
    if path.suffix in CODE or path.name == "CMakeLists.txt":
        return True
    return path.suffix == "" and path.read_bytes()[:2] == b"#!"


class Tree(unittest.TestCase):
    def test_every_source_names_its_licence_first(self):
        for name in filter(is_code, tracked()):
            head = "\n".join((ROOT / name).read_text().splitlines()[:2])
            with self.subTest(file=name):
                self.assertIn("SPDX-License-Identifier: Apache-2.0 OR MIT", head)

    def test_every_source_fits_in_a_head(self):
        for name in filter(is_code, tracked()):
            with self.subTest(file=name):
                self.assertLessEqual((ROOT / name).read_text().count("\n"), LONGEST)

    def test_every_example_fits_on_a_screen(self):
        for path in (ROOT / "examples").glob("*.cpp"):
            with self.subTest(file=path.name):
                self.assertLessEqual(path.read_text().count("\n"), 60)

    def test_every_script_is_read_by_its_shell(self):
        for name in filter(is_code, tracked()):
            first = (ROOT / name).read_text().partition("\n")[0]
            if re.match(r"#!/bin/(ba)?sh", first):
                with self.subTest(file=name):
                    run = subprocess.run([first[2:], "-n", ROOT / name], capture_output=True, text=True)
                    self.assertEqual(run.returncode, 0, run.stderr)

    def test_every_source_is_formatted(self):
        names = [name for name in tracked() if name.endswith((".hpp", ".cpp", ".h", ".c"))]
        run = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *names], cwd=ROOT, capture_output=True,
                             text=True)
        wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", run.stderr, re.M)))
        self.assertFalse(wrong, "clang-format-19 -i mends these")
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_documents_show_code_that_is_built(self):
        """A block of C++ in a document is a part of the file that the comment before it names."""
        shown = 0
        for name in (name for name in tracked() if name.endswith(".md")):
            text = (ROOT / name).read_text()
            for source, code in re.findall(r"<!-- from (\S+) -->\n```cpp\n(.*?)```", text, re.S):
                shown += 1
                with self.subTest(document=name, source=source):
                    self.assertIn(code, (ROOT / source).read_text(), "the document is out of date")
        if (ROOT / "README.md").exists():
            self.assertGreater(shown, 0)

    def test_documents_link_to_files_that_exist(self):
        for name in (name for name in tracked() if name.endswith(".md")):
            prose = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.S | re.M)  # a lambda is no link
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
                if "://" not in link and not link.startswith("mailto:"):
                    with self.subTest(document=name, link=link):
                        self.assertTrue((ROOT / name).parent.joinpath(link).exists())


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
