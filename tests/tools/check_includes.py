#!/usr/bin/env python3
"""Checks which way the includes point: ir <- schedules <- compiler, and runtime stands alone.

check_includes.py [ROOT]                     prints each include that breaks a rule; exit 1 if there is one
check_includes.py [ROOT] --free-of HEADER    lists the source files that do not reach <HEADER>, directly or not
check_includes.py --self-check               checks this script on a small tree of its own
"""

import argparse
import pathlib
import re
import sys
import tempfile

# folder -> the folders whose headers it may include
allowed = {
    "ir": {"ir"},
    "schedules": {"schedules", "ir"},
    "compiler": {"compiler", "schedules", "ir", "runtime"},
    "runtime": {"runtime"},
    "generated": {"generated", "runtime"},
}

# folder -> what its <...> includes must match
standard = r"[a-z_0-9]+|c?(assert|errno|float|limits|math|stdint|stdio|stdlib|string|stddef|time)\.h"
system_allowed = {
    "ir": re.compile(rf"({standard}|fmt/.+|immintrin\.h)"),
    "runtime": re.compile(r"(?!Halide\.h|nlohmann/|fmt/|CLI/|doctest/).+"),
}

include_line = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
# What may hold a line that only looks like an include: block comments, and the raw strings of emitted code.
not_code = re.compile(r'/\*.*?\*/|R"([^(\s]{0,16})\(.*?\)\1"', re.DOTALL)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def sources(root):
    """Every C and C++ file of the folders with a rule, as paths relative to root."""
    for folder in sorted(allowed):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".h", ".c", ".cpp"}:
                yield path.relative_to(root)


def includes(root, path):
    """(line number, quoted name or None, system name or None) of each include."""
    text = not_code.sub(blank, (root / path).read_text(encoding="utf-8"))
    for match in include_line.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def resolve(root, path, name):
    """The file that a quoted include means, beside the includer or below the root; relative to root. None: no file.
    What resnetc emits is compiled with the headers of runtime/ on the include path."""
    for base in (root / path.parent, root, *([root / "runtime"] if path.parts[0] == "generated" else [])):
        for candidate in (base / name, base / f"{name}.in"):  # .in: a header that CMake makes
            if candidate.is_file():
                found = candidate.resolve()
                return found.relative_to(root) if found.is_relative_to(root) else found
    return None


def check(root):
    """The broken rules, one message each."""
    for path in sources(root):
        folder = path.parts[0]
        for line, quoted, system in includes(root, path):
            where = f"{path}:{line}"
            if quoted is None:
                pattern = system_allowed.get(folder)
                if system.split("/")[0] in allowed:
                    yield f'{where}: write #include "{system}", with quotes'
                elif pattern and not pattern.fullmatch(system):
                    yield f"{where}: {folder}/ may not include <{system}>"
                continue
            target = resolve(root, path, quoted)
            if target is None:
                yield f'{where}: "{quoted}" is neither beside the file nor below the root; libraries take <...>'
            elif target.parts[0] not in allowed[folder]:
                yield f'{where}: {folder}/ may not include "{quoted}", only {", ".join(sorted(allowed[folder]))}'


def reaches(root, path, header, known):
    """Whether path includes <header>, directly or through headers of this tree. known: answers so far."""
    if path not in known:
        known[path] = False  # ends the walk where headers include each other
        targets = [resolve(root, path, quoted) for _, quoted, _ in includes(root, path) if quoted]
        known[path] = any(system == header for _, _, system in includes(root, path)) or any(
            reaches(root, target, header, known) for target in targets if target and not target.is_absolute()
        )
    return known[path]


def self_check():
    tree = {
        "ir/graph.h": "#include <vector>\n#include <fmt/core.h>\n#include <stdint.h>\n",
        "ir/bad.cpp": '#include "ir/graph.h"\n#include <Halide.h>\n#include "compiler/pass.h"\n#include <sys/mman.h>\n',
        "schedules/key.h": '#include <Halide.h>\n#include "ir/graph.h"\n',
        "schedules/bad.h": '#include "compiler/pass.h"\n',
        "compiler/pass.h": '#include "../ir/graph.h"\n',
        "compiler/emit.cpp": (
            '#include "compiler/pass.h"\n#include "schedules/key.h"\n#include "runtime/model.h"\n#include "version.h"\n'
            'auto text = R"(\n#include "nothing.h"\n)";\n/*\n#include "nothing.h"\n*/\n// #include "nothing.h"\n'
            '#include "doctest/doctest.h"\n#include <ir/graph.h>\n'
        ),
        "compiler/version.h.in": "",
        "runtime/model.h": "#include <sys/mman.h>\n#include <HalideRuntime.h>\n",
        "runtime/bad.c": '#include "model.h"\n#include "../ir/graph.h"\n#include <Halide.h>\n',
        "generated/golden/net.h": '#include "runtime/model.h"\n',
        "generated/golden/net.c": '#include "net.h"\n#include "model.h"\n#include "pass.h"\n',
    }
    expected = [
        'compiler/emit.cpp:12: "doctest/doctest.h" is neither beside the file nor below the root; libraries take <...>',
        'compiler/emit.cpp:13: write #include "ir/graph.h", with quotes',
        'generated/golden/net.c:3: "pass.h" is neither beside the file nor below the root; libraries take <...>',
        "ir/bad.cpp:2: ir/ may not include <Halide.h>",
        'ir/bad.cpp:3: ir/ may not include "compiler/pass.h", only ir',
        "ir/bad.cpp:4: ir/ may not include <sys/mman.h>",
        'runtime/bad.c:2: runtime/ may not include "../ir/graph.h", only runtime',
        "runtime/bad.c:3: runtime/ may not include <Halide.h>",
        'schedules/bad.h:1: schedules/ may not include "compiler/pass.h", only ir, schedules',
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        for name, text in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        found = sorted(check(root))
        known = {}
        reaching = sorted(str(p) for p in sources(root) if reaches(root, p, "Halide.h", known))
    if found != expected:
        return f"expected\n  {chr(10).join(expected)}\ngot\n  {chr(10).join(found)}"
    if reaching != ["compiler/emit.cpp", "ir/bad.cpp", "runtime/bad.c", "schedules/key.h"]:
        return f"wrong set of files reaching Halide.h: {reaching}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).parents[2], type=pathlib.Path)
    parser.add_argument("--free-of", metavar="HEADER")
    parser.add_argument("--self-check", action="store_true")
    arguments = parser.parse_args()
    root = arguments.root.resolve()

    if arguments.self_check:
        return self_check()
    if not any(sources(root)):
        return f"{root} holds none of the folders {', '.join(allowed)}"
    if arguments.free_of:
        known = {}
        for path in sources(root):
            if path.suffix != ".h" and not reaches(root, path, arguments.free_of, known):
                print(path)
        return ""
    return "\n".join(check(root))


sys.exit(main() or 0)
