"""One reader as a service of this machine: what is written, and what is taken away again.

Rules of the room: what to write (`render`, `adapter`) is computed from answers and knows no disk;
`disk` alone reads and writes, compares before it does, and keeps a list of what it wrote beside the
configuration. A file that somebody edited is never replaced or removed without a word. Nothing here
needs a running systemd. The files in `shipped` are the originals; `systemd/` shows them.
"""
