"""Fetch the data that tests train on, once, so that no test needs a network: python scripts/fetch_data.py"""

import sys

from seqlab.tasks import japanese_vowels, shakespeare

if __name__ == "__main__":
    try:
        japanese_vowels()
        shakespeare()
    except OSError as error:
        sys.exit(str(error))
