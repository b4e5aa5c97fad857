#!/bin/sh
# Resolve every version the tests run with, in a fresh environment, and write constraints.txt beside this file.
# Usage: sh requirements/lock.sh [PYTHON]
set -eu
python=${1:-python3.11}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/venv"
echo "torch==2.13.0" >"$scratch/torch.txt"
"$scratch/venv/bin/python" -m pip install --quiet -c "$scratch/torch.txt" "$here/..[all,dev,bench]"
{
    echo "# Every version the tests run with: CPython 3.11 on Linux, CPU build of torch."
    echo "# Written by \`make lock\`; a constraint file, so it only pins what the extras in pyproject.toml ask for."
    # A build tag such as +cpu is dropped: the same release without it serves as well.
    "$scratch/venv/bin/python" -m pip freeze --exclude rightreasons | sed 's/+cpu$//'
} >"$scratch/constraints.txt"
if grep -iE "^(nvidia|cuda|triton|torchvision)" "$scratch/constraints.txt"; then
    echo "lock: the packages above belong to a GPU build of torch; constraints.txt is unchanged" >&2
    exit 1
fi
mv "$scratch/constraints.txt" "$here/constraints.txt"
