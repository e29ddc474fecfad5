"""The command without a daemon: help, exit codes, one-line errors, finding the door."""

import json
import socket
from pathlib import Path

import pytest

from readerd.cli import main
from readerd.cli.command import readerd
from readerd.edge.door import find_socket
from readerd.errors import InputError, NoDaemon


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code: int | str | None = 0
    try:
        main(list(arguments))
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert isinstance(code, int)
    return code, said.out, said.err


@pytest.mark.parametrize("verb", sorted(readerd.commands))
def test_every_verb_has_help_that_says_what_it_does(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    command = readerd.commands[verb]
    assert command.help is not None
    assert command.help.splitlines()[0] in " ".join(out.split())
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{verb} {parameter.name} has no help"


def test_the_list_of_verbs_has_whole_sentences_and_says_what_each_is_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "..." not in out[out.index("Commands:") :]
    purposes = out[out.index("To see it work") :].splitlines()
    named = [verb for line in purposes for verb in line.strip()[24:].split(", ") if verb]
    assert sorted(named) == sorted(readerd.commands)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["read", "--reread"], 2, "belong together"),
        (["twin", "biorad680"], 2, "--pty PATH or --tcp PORT"),
        (["twin", "biorad999", "--tcp", "0"], 2, "installed: biorad"),
        (["demo", "--driver", "biorad999"], 2, "installed: biorad"),
        (["twin", "biorad680", "--tcp", "0", "--fault", "sulk@RPLATE"], 2, "unknown kind"),
        (["twin", "biorad680", "--tcp", "0", "--plate", "none.csv"], 2, "cannot be read"),
        (["status", "--reader", "/none/x.sock"], 5, "start `readerd run"),
        (["run", "--config", "none.toml"], 78, "cannot be read"),
        (["check"], 2, "give either --config PATH or --assay PATH"),
    ],
)
def test_errors_are_short_and_have_the_contracts_code(
    arguments: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    seen, out, err = run(capsys, *arguments)
    assert (seen, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_check_tells_a_program_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench2.toml"
    path.write_text('[reader]\nsite = "LAB"\n')
    code, out, err = run(capsys, "check", "--config", str(path), "--json")
    answer = json.loads(out)
    assert (code, answer["right"]) == (78, False)
    assert {"reader.site", "reader.id", "store"} <= {one["where"] for one in answer["mistakes"]}
    assert "reader.site" in err


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("readerd sta", "status"), ("readerd twin sim", "sim"), ("readerd show 01", "")],
)
def test_a_shell_completes_verbs_and_drivers_and_is_quiet_without_a_daemon(
    typed: str,
    completed: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    runtime: Path,
) -> None:
    code, script, _ = run(capsys, "completion", "bash")
    assert (code, "_READERD_COMPLETE=bash_complete" in script) == (0, True)
    monkeypatch.setattr("sys.argv", ["readerd"])
    monkeypatch.setenv("_READERD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out.split(), err) == (
        0,
        [f"plain,{completed}"] if completed else [],
        "",
    )


def test_drivers_tells_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "drivers", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["biorad680"]["formats"] == [96]
    assert "checksum" in rows["biorad680"]["options"]
    code, out, _ = run(capsys, "drivers")
    assert "biorad680: Bio-Rad Model 680" in out


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("READERD_READER", raising=False)
    return tmp_path


def knock(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
    return path


def test_the_only_socket_is_found_by_itself(runtime: Path) -> None:
    path = knock(runtime / "a.sock")
    assert find_socket(None) == path


def test_two_sockets_and_no_name_is_an_error_that_lists_them(runtime: Path) -> None:
    for name in ("a", "b"):
        knock(runtime / f"{name}.sock")
    with pytest.raises(InputError, match="name one of: a, b"):
        find_socket(None)
    assert find_socket("b") == runtime / "b.sock"


def test_the_environment_names_the_reader(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        knock(runtime / f"{name}.sock")
    monkeypatch.setenv("READERD_READER", "a")
    assert find_socket(None) == runtime / "a.sock"


def test_no_socket_says_where_it_looked(runtime: Path) -> None:
    with pytest.raises(NoDaemon, match=str(runtime)):
        find_socket(None)
