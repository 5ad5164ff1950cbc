#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""docs/peer-tests.md: each row has an answer, the tests it names are where it says, and its sums are right."""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "peer-tests.md"
TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.M)
NAMED = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)`(?: \(([\w/]+\.cpp)\))?")
KINDS = ("same", "in part", "not ours", "open")


def tests():
    """{Suite.Name: the files below tests/ that have it}"""
    found = {}
    for path in (ROOT / "tests").rglob("*.cpp"):
        for suite, name in TEST.findall(path.read_text()):
            found.setdefault(f"{suite}.{name}", set()).add(str(path.relative_to(ROOT / "tests")))
    return found


def kind(answer):
    """Which of KINDS an answer is, or None."""
    for word in KINDS[1:]:
        if re.match(word + r"(:|$)", answer):
            return word
    return "same" if NAMED.match(answer) else None


def sections():
    """{heading: its rows, each a list of cells}"""
    found, rows = {}, []
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            rows = found.setdefault(line.removeprefix("## "), [])
        elif line.startswith("| ") and not line.startswith(("| peer's test |", "| peer |")):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


class PeerTests(unittest.TestCase):
    def rows(self):
        for heading, rows in sections().items():
            for row in rows:
                if heading != "Sums":
                    yield heading, row

    def test_every_row_has_an_answer(self):
        for heading, row in self.rows():
            with self.subTest(section=heading, row=row[0]):
                self.assertEqual(len(row), 3)
                self.assertIsNotNone(kind(row[2]), row[2])

    def test_every_test_named_is_where_it_is_said_to_be(self):
        there, named = tests(), 0
        for heading, row in self.rows():
            for test, file in NAMED.findall(row[-1]):
                named += 1
                with self.subTest(section=heading, row=row[0], test=test):
                    self.assertIn(test, there)
                    self.assertIn(file, there[test])
        self.assertGreater(named, 100)

    def test_what_is_the_same_names_a_test(self):
        for heading, row in self.rows():
            if kind(row[2]) in ("same", "in part"):
                with self.subTest(section=heading, row=row[0]):
                    self.assertTrue(NAMED.search(row[2]))

    def test_the_sums_are_right(self):
        everything = sections()
        sums = {row[0]: [int(number) for number in row[1:]] for row in everything.pop("Sums")}
        for heading, rows in everything.items():
            if rows:
                with self.subTest(section=heading):
                    counts = [sum(kind(row[2]) == word for row in rows) for word in KINDS]
                    self.assertEqual(sums.get(heading), [len(rows), *counts])
        self.assertEqual(set(sums), {heading for heading, rows in everything.items() if rows})


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
