# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Reads C and C++ declarations as far as the headers of KVM's interface use them, and no further:
what it does not understand is an error, so that nothing goes unchecked unseen."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z_0-9]*|0[xX][0-9a-fA-F]+\w*|\d\w*|::|\S')


@dataclass
class Member:
    name: str          # "" for an anonymous struct or union
    type: str          # a name; "" for a struct or union defined in place
    members: list = field(default_factory=list)
    flexible: bool = False   # a[] or a[0]
    array: bool = False
    bits: bool = False


@dataclass
class Enum:
    name: str          # qualified; "" if it has none
    scoped: bool
    enumerators: list
    doc: str


@dataclass
class Constant:
    name: str          # qualified
    type: str


class Declarations:
    """The structs (name to members), enums and constants of one translation unit's text."""

    def __init__(self):
        self.structs, self.enums, self.constants = {}, [], []

    def add(self, text, where=""):
        _Parser(self, text, where).scope("")
        return self


class _Parser:
    def __init__(self, out, text, where):
        self.out, self.where = out, where
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.tokens, doc = [], []
        for line in text.split("\n"):
            comment = re.match(r"\s*///(.*)", line)
            if comment:
                doc.append(comment[1])
                continue
            if not line.strip() and not doc:
                continue
            if not re.match(r"\s*#", line):
                for token in TOKEN.findall(re.sub(r"//.*", "", line)):
                    self.tokens.append((token, " ".join(doc)))
                    doc = []
            if not line.strip():
                doc = []
        self.at = 0

    def error(self, what):
        near = " ".join(t for t, _ in self.tokens[max(0, self.at - 8):self.at + 8])
        raise SystemExit(f"{self.where}: {what} near: {near}")

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def next(self):
        if self.at >= len(self.tokens):
            self.error("the text ends too soon")
        self.at += 1
        return self.tokens[self.at - 1][0]

    def expect(self, token):
        if self.next() != token:
            self.at -= 1
            self.error(f"no '{token}'")

    def skip_group(self, opening, closing):
        depth = 0
        while True:
            token = self.next()
            depth += (token == opening) - (token == closing)
            if depth == 0:
                return

    def skip_attributes(self):
        while True:
            if self.peek() in ("__attribute__", "alignas"):
                self.next()
                self.skip_group("(", ")")
            elif self.peek() == "[" and self.peek(1) == "[":
                self.skip_group("[", "]")
            elif self.peek() == "__extension__":
                self.next()
            else:
                return

    def skip_declaration(self):
        """To the end of what is no struct, enum or constant: a ; or the } of a function's body."""
        while self.peek() not in (";", "{"):
            if self.peek() == "(":
                self.skip_group("(", ")")
            else:
                self.next()
        if self.peek() == "{":
            self.skip_group("{", "}")
        if self.peek() == ";":
            self.next()

    def scope(self, prefix):
        while self.at < len(self.tokens) and self.peek() != "}":
            self.skip_attributes()
            token = self.peek()
            if token == ";":
                self.next()
            elif token == "namespace" or (token == "inline" and self.peek(1) == "namespace"):
                while self.next() != "namespace":
                    pass
                name = ""
                while self.peek() not in ("{", "="):
                    name += self.next()
                if self.peek() == "=":
                    self.skip_declaration()
                    continue
                self.next()
                self.scope(prefix + name + "::" if name else prefix)
                self.expect("}")
            elif token in ("struct", "union") and self.peek(2) == "{":
                self.next()
                name = self.next()
                self.out.structs[prefix + name] = self.members(prefix)
                self.skip_attributes()
                self.expect(";")
            elif token == "enum":
                self.enum(prefix)
            elif token == "inline" and self.peek(1) == "constexpr":
                self.constant(prefix)
            else:
                self.skip_declaration()

    def enum(self, prefix):
        doc = self.tokens[self.at][1]
        self.next()
        scoped = self.peek() == "class"
        if scoped:
            self.next()
        name = ""
        while self.peek() not in ("{", ":", ";"):
            name += self.next()
        while self.peek() not in ("{", ";"):
            self.next()
        if self.next() == ";":
            return
        enumerators = []
        while self.peek() != "}":
            enumerators.append(self.next())
            while self.peek() not in (",", "}"):
                self.next()
            if self.peek() == ",":
                self.next()
        self.next()
        self.skip_attributes()
        self.expect(";")
        self.out.enums.append(Enum(prefix + name if name else "", scoped, enumerators, doc))

    def constant(self, prefix):
        """inline constexpr TYPE NAME = VALUE; or NAME{VALUE}; or NAME[] = {...};"""
        start = self.at
        words = []
        while self.peek() not in ("=", "{", ";", "(", "["):
            if self.peek() == "<":
                self.skip_group("<", ">")
            else:
                words.append(self.next())
        if self.peek() == "[" or self.peek() == "(":
            self.skip_declaration()
            return
        while self.peek() != ";":
            if self.peek() == "{":
                self.skip_group("{", "}")
            else:
                self.next()
        self.next()
        if len(words) < 4:
            self.at = start
            self.error("a constant without a type")
        self.out.constants.append(Constant(prefix + words[-1], "".join(words[2:-1])))

    def members(self, prefix):
        self.expect("{")
        members = []
        while self.peek() != "}":
            self.skip_attributes()
            if self.peek() == ";":
                self.next()
            elif self.is_function():
                self.skip_declaration()
            elif self.peek() in ("struct", "union") and "{" in (self.peek(1), self.peek(2)):
                self.next()
                if self.peek() != "{":
                    name = self.next()
                    nested = self.members(prefix)
                    self.out.structs[prefix + name] = nested
                else:
                    nested = self.members(prefix)
                self.skip_attributes()
                self.declarators(members, "", nested)
            else:
                if self.peek() in ("struct", "union", "enum", "const"):
                    self.next()
                name = self.next()
                while self.peek() == "::" or re.match(r"\w", self.peek()) and re.match(r"\w", self.peek(1)):
                    if self.peek() == "::":
                        name += self.next()
                    name += self.next()
                if self.peek() == "<":
                    self.skip_group("<", ">")
                    name = ""
                if self.peek() == "&":
                    self.next()
                self.declarators(members, name, [])
        self.next()
        return members

    def is_function(self):
        ahead = 0
        while self.peek(ahead) not in (";", "{", "}", "=", "[", ""):
            if self.peek(ahead) == "(":
                return True
            ahead += 1
        return False

    def declarators(self, members, type_name, nested):
        """NAME, *NAME, NAME[N], NAME : BITS, or nothing, up to the ;"""
        while True:
            self.skip_attributes()
            member = Member("", type_name, nested)
            while self.peek() == "*":
                self.next()
                member.type = ""
            if re.match(r"[A-Za-z_]", self.peek()):
                member.name = self.next()
            while self.peek() == "[":
                member.flexible |= self.peek(1) in ("]", "0")
                member.array = True
                self.skip_group("[", "]")
            if self.peek() == "=" or self.peek() == ":":
                member.bits = self.peek() == ":"
                while self.peek() not in (",", ";"):
                    self.next()
            elif self.peek() == "{":
                self.skip_group("{", "}")
            self.skip_attributes()
            members.append(member)
            if self.next() == ";":
                return
            if self.tokens[self.at - 1][0] != ",":
                self.error("a member that is not understood")


def fields(structs, members, resolve, prefix=""):
    """The paths of all fields, through nested structs: a, b.c, ... Not into arrays, no flexible arrays."""
    for member in members:
        path = prefix + member.name
        nested = member.members or structs.get(resolve(member.type), [])
        if member.flexible or member.bits:
            continue
        if member.name:
            yield path
        if nested and not member.array:
            yield from fields(structs, nested, resolve, path + "." if member.name else prefix)
