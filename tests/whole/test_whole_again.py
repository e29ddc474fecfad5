"""A run after its end, at the command line: shown, exported, reproduced, revised, recovered."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.whole.whole_bench import Bench, Start, readerd

MakeBench = Callable[..., Bench]


def test_a_run_is_shown_exported_reproduced_and_revised(
    start: Start, bench: MakeBench, tmp_path: Path
) -> None:
    start("twin", "biorad680", "--pty", "tty", "--time-scale", "0").until(":")
    here = bench(port="serial:tty", broker=1)
    start("run", "--config", "bench2.toml").until("reader=ready")
    kit = ("--kit-lot", "L7", "--kit-expires", "2020-01")
    wrong = here.ask("read", "--plate", "PLT1", "--kit-expires", "1.1.2020")
    assert (wrong.returncode, "write the day as 2027-01-31" in wrong.stderr) == (3, True)
    code, envelope = here.read("PLT1", *kit)
    assert (code, envelope["data"]["verdict"]) == (0, "warn")
    assert envelope["data"]["kit"] == {"lot": "L7", "expires": "2020-01"}
    assert envelope["data"]["flags"] == ["KIT_EXPIRED"]
    run = envelope["data"]["run"]["id"]

    shown = here.ask("show", run, "--transcript")
    assert "EIA.READER RPLATE 2 0 L 2 4" in shown.stdout
    assert here.ask("reproduce", run).stdout.count("the same") == 3
    assert here.ask("export", run, "--format", "raw", "--output", "run.json").returncode == 0
    offline = readerd("reproduce", "run.json", "--json", cwd=tmp_path)
    assert [stage["same"] for stage in json.loads(offline.stdout)] == [True] * 3
    table = here.ask("export", run, "--format", "csv").stdout.splitlines()
    assert len(table) == 97
    assert table[0].startswith("well,role,position,a_measurement")
    assert json.loads(here.ask("export", run).stdout) == envelope

    revised_and_followed(here, run)
    refusals(here, run)


def revised_and_followed(here: Bench, run: str) -> None:
    (here.directory / "map.csv").write_text("position,sample_id,dilution\nU1,0042,2\n")
    revised = here.ask(
        "revise", run, "--reason", "late map", "--plate-map", "map.csv", "--mask", "C4=bubble"
    )
    assert revised.stdout == f"revision 2 of run {run}\n"
    data = json.loads(here.ask("show", run, "--json").stdout)["data"]
    assert (data["revision"], data["revises"], data["reason"]) == (2, 1, "late map")
    assert data["plate"]["plate_map"]["id"] == "map.csv"
    sample = next(one for one in data["samples"] if one["position"] == "U1")
    assert (sample["sample_id"], sample["dilution"]) == ("0042", 2.0)
    why = here.ask("show", run, "--why", "0042").stdout
    assert why.startswith("1  U1: what was read, 450 – 570 nm\n   C3 ")
    assert ("left out: bubble" in why, "times the dilution 2" in why) == (True, True)
    assert here.ask("reproduce", run).returncode == 0


def refusals(here: Bench, run: str) -> None:
    """One line each, with the contract's code."""
    for arguments, code, says in (
        (("revise", "01J", "--reason", "x"), 3, "run_unknown"),
        (("revise", run, "--reason", "x", "--mask", "Z9=x"), 3, "invalid_payload"),
        (("recover", run, "--reason", "x"), 3, "state_mismatch"),
        (("abort",), 3, "state_mismatch"),
        (("carrier", "out"), 3, "no carrier"),
        (("show", "01J"), 3, "run_unknown"),
    ):
        refused = here.ask(*arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (code, 1), refused
        assert says in refused.stderr


def test_recover_and_abort_at_the_command_line(start: Start, bench: MakeBench) -> None:
    fault = ("--fault", "truncate@RPLATE:700")
    start("twin", "biorad680", "--pty", "tty", "--time-scale", "0.15", *fault).until(":")
    here = bench(port="serial:tty", broker=1)
    daemon = start("run", "--config", "bench2.toml")
    daemon.until("reader=ready")
    code, envelope = here.read("PLT1")
    assert (code, envelope["data"]["acquisition"]) == (4, "failed")
    daemon.until("reader=ready")
    run = envelope["data"]["run"]["id"]
    recovered = here.ask("recover", run, "--reason", "answer broke off")
    assert recovered.stdout == f"recovered: revision 2 of run {run}\n"
    data = json.loads(here.ask("show", run, "--json").stdout)["data"]
    assert (data["acquisition"], data["flags"]) == ("complete", ["RECOVERED"])
    assert here.ask("reproduce", run).returncode == 0

    here.ask("read", "--plate", "PLT2")
    daemon.until("state=reading")
    aborted = here.ask("abort", "--reason", "wrong plate")
    assert aborted.stdout.startswith("aborted: run ")
    daemon.until("reader=ready")
    assert daemon.end() == 0
