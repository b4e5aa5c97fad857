"""How strong attribution attacks are, what their surrogate is worth, and which metric tells.

    python experiments/kamath2024/attack-strength/run.py            compares with expected.json
    python experiments/kamath2024/attack-strength/run.py --write    writes expected.json anew
    python experiments/kamath2024/attack-strength/run.py mnist      one of mnist, fashion-mnist, photographs

README.md says what each needs and how long it takes.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import photographs
import small
import torch
from tables import differences, rounded

EXPECTED = Path(__file__).parent / "expected.json"
STUDIES = {name: partial(small.study, name) for name in small.STUDIES} | {"photographs": photographs.study}


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join(STUDIES) + "; default: all")
    parser.add_argument("--write", action="store_true", help="write expected.json")
    asked = parser.parse_args()
    names = asked.studies or list(STUDIES)
    if unknown := sorted(set(names) - set(STUDIES)):
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(STUDIES)}")
    if "photographs" in names and (packages := photographs.missing()):
        raise SystemExit(
            f"photographs needs {', '.join(packages)}, large or pinned, so in no extra of this package.\n"
            f"    {photographs.INSTALL}\nOr leave it out: run.py {' '.join(small.STUDIES)}"
        )
    torch.set_num_threads(1)
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    wrong = []
    for name in names:
        table = rounded(STUDIES[name](say))
        print(json.dumps({name: table}, indent=1))
        if asked.write:
            expected[name] = table
            EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")
        else:
            wrong += differences(table, expected[name], name)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
