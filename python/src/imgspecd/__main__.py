"""`python -m imgspecd` is the imgspecd command."""

import os
import sys

from imgspecd import find_binary


def main() -> None:
    binary = find_binary()
    if binary is None:
        sys.exit("imgspecd: this package was installed without the binary, and there is none on PATH")
    os.execv(binary, [binary, *sys.argv[1:]])


main()
