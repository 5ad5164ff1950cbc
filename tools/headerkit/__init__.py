# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The public headers' declarations with their /// comments. Reads C++ that is formatted as this project's is."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
INCLUDE = f"{ROOT}/include/kvm/"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def clean(text):
    """A declaration in one line, as a reader wants it: without attributes, comments and initialiser lists."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\[\[[\w:]+\]\] |KVM_LIFETIMEBOUND|\binline (?!namespace|constexpr)", "", text)
    text = re.sub(r"(\)(?: const| noexcept)*) : \w+\(.*$", r"\1", text)
    return re.sub(r" +", " ", text).strip()


def bare(text):
    """A declaration without its template head."""
    while text.startswith("template"):
        depth, at = 0, text.index("<")
        while True:
            depth += (text[at] == "<") - (text[at] == ">")
            at += 1
            if depth == 0:
                break
        text = text[at:].strip()
        if match := re.match(r"requires\s*(\([^)]*\)|[^(){}]*?>)(?=\s*(?:\|\|)?)", text):
            text = text[match.end():].strip()
            while text.startswith("||"):
                text = re.sub(r"^\|\| [\w:]+<[^>]*>\s*", "", text)
    return text


def kind_and_name(text):
    """What a declaration declares, and its name."""
    words = bare(text).replace("decltype(auto)", "auto")
    if match := re.match(r"(?:class|struct|union) ([\w:]+)", words):
        return "class", match.group(1)
    if match := re.match(r"enum (?:class )?(\w+)", words):
        return "enum", match.group(1)
    if match := re.match(r"using (\w+) =", words):
        return "alias", match.group(1)
    if match := re.search(r"operator\s*(\"\"\w+|bool|[^\s\w(]+|\(\)|[\w:<> ]+)(?=\()", words):
        return "function", "operator" + match.group(1)
    before = words.split("=")[0]
    if match := re.search(r"(~?\w+)\(", before):
        if not re.search(r"constexpr \w+<.*> \w+\(|constexpr auto \w+\(", before) or not before.startswith("inline"):
            return "function", match.group(1)
        return "value", match.group(1)
    if match := re.search(r"(\w+)(?:\[\w*\])*\s*$", before):
        return "value", match.group(1)
    return "other", ""


class Decl:
    """A declaration: `doc`, the comment; `text`, one line; `body`, what is in braces; `more`, those right below
    it without a comment of their own; `members` of a class."""

    def __init__(self, scope, text, doc, body, source):
        self.scope, self.text, self.doc, self.body, self.source = scope, text, doc, body, source
        self.kind, self.name = kind_and_name(text)
        self.members, self.more = [], []

    def title(self):
        """Its name with the class that has it: what Vm takes from x86_64::VmOps is Vm's."""
        title = "::".join(n for n in [*self.scope[1:], self.name] if n != "detail")
        return re.sub(r"^(?:x86_64|aarch64|riscv64)::(Kvm|Vm|Vcpu)Ops::", r"\1::", title)

    def arch(self):
        """The architecture that alone has it, or ""."""
        return next((a for a in ("x86_64", "aarch64", "riscv64") if self.source.startswith(a + "/")), "")

    def is_special(self):
        """What needs no comment: moves, destructors, what is deleted, friends, default constructors."""
        owner = self.scope[-1].split("::")[-1] if self.scope else ""
        words = bare(self.text)
        return bool(self.name.startswith(("~", "operator=")) or re.search(r"= (delete|default)$", self.text)
                    or words.startswith("friend ")
                    or re.match(rf"(constexpr )?{owner}\((const )?{owner}&&? \w+\)", words)
                    or re.match(rf"(constexpr )?{owner}\(\)", words) or words.startswith(("using ", "explicit Exit"))
                    and " = " not in words)


class Header:
    """A header's public declarations, and what it says of itself."""

    def __init__(self, name):
        self.name, self.at, self.doc = name, 0, ""
        text = read(f"{INCLUDE}{name}.hpp")
        text = re.sub(r"#define (KVM_TRY\(\.\.\.\))(?:.*\\\n)+.*\n", r"void \1;\n", text)
        self.text = re.sub(r"^[ ]*#.*\n", "", text, flags=re.M)
        self.decls = self.read_scope([], True)

    def read_scope(self, names, public, comment=""):
        """The declarations up to the } that ends the scope, or to the file's end. A comment of the scope itself
        is that of its first declaration."""
        found, doc, leader = [], [comment] if comment else [], None
        token = re.compile(r"\n[ \t]*\n|\s+|///?[^\n]*|\}|(?:public|private|protected):")
        while self.at < len(self.text):
            match = token.match(self.text, self.at)
            if not match:
                said = " ".join(doc)
                decls = self.read_declaration(names, public, said)
                if decls is None:
                    continue  # a forward declaration: the comment is the next one's
                doc = []
                for decl in decls:
                    if decl.scope is names and not said and leader and self.may_follow(leader, decl):
                        leader.more.append(decl)
                    else:
                        found.append(decl)
                        leader = decl if decl.scope is names else None
                continue
            self.at = match.end()
            word = match.group(0)
            if word == "}":
                return found
            if word.startswith("///"):
                doc.append(word[3:].strip())
            elif word.endswith(":") and not word.startswith("/"):
                public, leader = word == "public:", None
            elif word.count("\n") > 1:
                self.doc = self.doc or " ".join(doc)
                doc, leader = [], None
        return found

    @staticmethod
    def may_follow(leader, decl):
        """Whether the comment of `leader` is that of `decl`, right below it, too."""
        return leader.kind == decl.kind or {leader.kind, decl.kind} == {"value", "function"}

    def skip_braces(self):
        """From a { to behind its }; returns what was skipped."""
        start, depth = self.at, 0
        token = re.compile(r"//[^\n]*|\"(?:\\.|[^\"\n])*\"|'(?:\\.|[^'\n])'|[{}]|[^\"'/{}]+|.", re.S)
        while True:
            match = token.match(self.text, self.at)
            depth += (match.group(0) == "{") - (match.group(0) == "}")
            self.at = match.end()
            if depth == 0:
                return self.text[start:self.at]

    def read_declaration(self, names, public, doc):
        """The declaration that begins here; of a namespace, all that are in it."""
        start, depth = self.at, 0
        token = re.compile(r"//[^\n]*|\"[^\"\n]*\"|.", re.S)
        while depth or self.text[self.at] not in ";{":
            match = token.match(self.text, self.at)
            depth += (match.group(0) in "([") - (match.group(0) in ")]") if len(match.group(0)) == 1 else 0
            self.at = match.end()
        text, body = clean(self.text[start:self.at]), ""
        shared = ("Object", "CheckExtension")  # in detail, but what users call is theirs
        public = public and (not {"detail", "reg_id"} & set(names) or names[-1] in shared or
                             re.match(rf"class ({'|'.join(shared)}) ", text + " ") is not None)
        if self.text[self.at] == ";":
            self.at += 1
        elif match := re.match(r"(?:inline )?namespace ([\w:]*)$|extern", text):
            self.at += 1
            inner = [n for n in (match.group(1) or "").split("::") if n and n != "literals"]
            if not names:
                self.doc, doc = self.doc or doc, ""
            return self.read_scope(names + inner, True, doc)
        elif re.match(r"(class|struct|union) ", bare(text)):
            first = self.at
            decl = Decl(names, text, doc, "", self.name)
            self.at += 1
            decl.members = self.read_scope(names + [decl.name], not bare(text).startswith("class"))
            decl.body = self.text[first:self.at]
            self.at += self.text.startswith(";", self.at)
            return [decl] if public and not text.startswith("template <>") else []
        else:
            body = self.skip_braces()
            self.at += self.text.startswith(";", self.at)
        if re.match(r"(class|struct) \S+$", text) and not body:
            return None
        is_definition = re.match(r"[^(=]*\b\w+::\w+\(", bare(text).replace("decltype(auto)", ""))
        if not public or not text or is_definition or \
                re.match(r"static_assert|using namespace|template <>|using enum", text):
            return []
        return [Decl(names, text, doc, body, self.name)]


def sentences(comment):
    """The comment, sorted by what its sentences tell: (what it is, ioctls, needs, since, errors)."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(comment):
        depth += (char == "(") - (char == ")")
        if char == "." and depth <= 0 and re.match(r" [A-Z`0-9]|$", comment[at + 1:]):
            parts.append(comment[begin:at].strip())
            begin = at + 1
    parts.append(comment[begin:].strip())
    said, ioctls, needs, since, errors = [], [], [], [], []
    for part in filter(None, parts):
        if match := re.match(r"(KVM_(?:SEV|TDX)_[A-Z0-9_]+(?:, KVM_[A-Z0-9_]+)*): (.)(.*)$", part):
            ioctls.append("KVM_MEMORY_ENCRYPT_OP with " + match.group(1))
            said.append(match.group(2).upper() + match.group(3) + ".")
        elif re.match(r"KVM_(?!EXIT|DEV)[A-Z0-9_]+( with .*|(, KVM_[A-Z0-9_]+)+)?$", part):
            ioctls.append(part)
        elif part.startswith("Needs "):
            needs.append(part[6:])
        elif re.match(r"Since \d+\.\d+$", part):
            since.append("Linux " + part[6:])
        elif part.startswith("Errors"):
            errors.append(re.sub(r"^Errors[:,]? ", "", part))
        else:
            said.append(part + ("" if part.endswith(":") else "."))
    return " ".join(said), ioctls, needs, since, errors
