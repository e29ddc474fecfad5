"""What stands on the disk against what should: compared first, written whole, listed, removed.

The list of a reader (`/etc/readerd/NAME.installed`) holds every file and folder written for
it, with the hash of what was written: a file whose hash is another was edited by somebody since.
Files that several readers share stand in each list, and go with the last of them.
"""

import difflib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from readerd.errors import InputError, Mistake
from readerd.install.render import ETC, UNITS, Wanted

Action = Literal["write", "same", "update", "overwrite", "edited", "remove", "save", "shared"]
SECRET = "-"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one file; `diff` is how its lines change, never those of a secret one."""

    path: str
    action: Action
    diff: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return self.action not in ("same", "edited", "shared")


@dataclass(frozen=True, slots=True)
class Listed:
    """What was written for one reader: hash by path, and the folders that were made."""

    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


class Disk:
    """The machine's files below `root`, for one reader. InputError when they cannot be had."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self._lists = {path.stem: _listed(path) for path in self._at(ETC).glob("*.installed")}

    @property
    def journal(self) -> str:
        return f"/var/lib/readerd/{self.name}"

    @property
    def installed(self) -> bool:
        return self.name in self._lists

    @property
    def alone(self) -> bool:
        """No other reader is installed here."""
        return not set(self._lists) - {self.name}

    def holds(self, path: str) -> bool:
        return self._at(path).exists()

    # -- writing -----------------------------------------------------------------------------

    def compare(self, wanted: Sequence[Wanted], *, overwrite: bool = False) -> list[Step]:
        """What installing would do, file by file."""
        return [self._step(one, overwrite) for one in wanted]

    def _step(self, wanted: Wanted, overwrite: bool) -> Step:
        there = self._text(wanted.path)
        diff = _diff(wanted, there)
        if there is None:
            return Step(wanted.path, "write", diff)
        if there == wanted.text:
            return Step(wanted.path, "same")
        if wanted.secret or _hash(there) in self._hashes(wanted.path):
            return Step(wanted.path, "update", diff)
        return Step(wanted.path, "overwrite" if overwrite else "edited", diff)

    def install(self, wanted: Sequence[Wanted], steps: Sequence[Step]) -> None:
        """Do what `compare` said; the list is there before the first file is."""
        files, folders = dict(self._own.files), self._made_for(wanted)
        for one, step in zip(wanted, steps, strict=True):
            if step.action != "edited":
                files[one.path] = SECRET if one.secret else _hash(one.text)
            elif known := self._hashes(one.path):
                files.setdefault(one.path, min(known))
        own = f"{ETC}/{self.name}.installed"
        text = json.dumps({"files": files, "folders": sorted(folders)}, indent=1) + "\n"
        if self._text(own) != text:
            self._write(Wanted(own, text))
        for one, step in zip(wanted, steps, strict=True):
            if step.changes:
                self._write(one)

    def _made_for(self, wanted: Sequence[Wanted]) -> set[str]:
        """The folders of these files that are not there yet, or were made for some reader."""
        made = {folder for listed in self._lists.values() for folder in listed.folders}
        folders = {str(parent) for one in wanted for parent in Path(one.path).parents} - {"/"}
        missing = {folder for folder in folders if not self._at(folder).exists()}
        return missing | (made & folders) | set(self._own.folders)

    def _write(self, one: Wanted) -> None:
        target = self._at(one.path)
        try:
            for folder in reversed(target.parents):
                if not folder.exists():
                    folder.mkdir()
                    folder.chmod(0o755)  # whatever the umask: the daemon must get in
            temporary = target.with_name(f".{target.name}.new")
            temporary.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), one.mode)
                file.write(one.text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            raise _no(one.path, "written", error) from None

    # -- taking away -------------------------------------------------------------------------

    def compare_away(self) -> list[Step]:
        """What uninstalling would do; InputError when this reader was not installed."""
        if not self.installed:
            known = ", ".join(sorted(self._lists)) or "none"
            what = f"`readerd install` has not installed it here; installed: {known}"
            raise InputError(self.name, Mistake("", what))
        own = f"{ETC}/{self.name}.installed"
        steps = [self._step_away(path, written) for path, written in self._own.files.items()]
        links = [Step(path, "remove") for path in self._enabled()]
        return [*(step for step in steps if step is not None), *links, Step(own, "remove")]

    def _step_away(self, path: str, written: str) -> Step | None:
        there = self._text(path)
        if there is None:
            return None
        others = (self._lists[name] for name in self._lists if name != self.name)
        if any(path in other.files for other in others):
            return Step(path, "shared")
        ours = written == SECRET or _hash(there) in self._hashes(path)
        return Step(path, "remove" if ours else "save")

    def _enabled(self) -> list[str]:
        """The links of `systemctl enable`, which would lead nowhere."""
        links = [
            folder / f"readerd@{self.name}.{kind}"
            for folder in sorted(self._at(UNITS).glob("*.wants"))
            for kind in ("service", "socket")
        ]
        return [f"/{link.relative_to(self.root)}" for link in links if link.is_symlink()]

    def remove(self, steps: Sequence[Step]) -> None:
        """Do what `compare_away` said; what was edited is moved beside the journal."""
        try:
            for step in steps:
                path = self._at(step.path)
                if step.action == "save":
                    keep = self._at(self.journal) / Path(step.path).name
                    keep.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, keep)
                elif step.action == "remove":
                    path.unlink(missing_ok=True)
            self._remove_folders()
        except OSError as error:
            raise _no(self.name, "removed", error) from None

    def _remove_folders(self) -> None:
        """Those that were made for readers, where nothing is left in them."""
        made = [*self._own.folders, *(["/run/readerd"] if self.alone else [])]
        for folder in sorted(made, key=len, reverse=True):
            path = self._at(folder)
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    # -- the floor ---------------------------------------------------------------------------

    @property
    def _own(self) -> Listed:
        return self._lists.get(self.name, Listed())

    def _hashes(self, path: str) -> set[str]:
        """What readerd wrote there, for whichever reader."""
        found = (listed.files.get(path, "") for listed in self._lists.values())
        return {written for written in found if written}

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _text(self, path: str) -> str | None:
        """A file as text, None where there is none."""
        try:
            return self._at(path).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _no(path, "read", error) from None


def _no(path: str, verb: str, error: OSError) -> InputError:
    again = "; run it with sudo" if isinstance(error, PermissionError) else ""
    return InputError(path, Mistake("", f"cannot be {verb}: {error.strerror}{again}"))


def _listed(path: Path) -> Listed:
    try:
        found = json.loads(path.read_bytes())
        return Listed(dict(found["files"]), tuple(found["folders"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"is no list of `readerd install`: {error}"
        raise InputError(str(path), Mistake("", what)) from None


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _diff(wanted: Wanted, there: str | None) -> tuple[str, ...]:
    if wanted.secret:
        return ("+ (a secret is not shown)",)
    lines: Iterable[str] = difflib.unified_diff(
        (there or "").splitlines(), wanted.text.splitlines(), n=1, lineterm=""
    )
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
