"""`python -m readerd` is the `readerd` command."""

from readerd.cli import main

if __name__ == "__main__":
    main()
