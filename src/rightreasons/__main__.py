"""`python -m rightreasons` is the `rightreasons` command."""

import sys

from rightreasons.cli import main

if __name__ == "__main__":
    sys.exit(main())
