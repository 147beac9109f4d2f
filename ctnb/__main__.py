"""`python -m ctnb` is `ctnb`."""

from ctnb.cli.main import main

if __name__ == "__main__":
    main()
