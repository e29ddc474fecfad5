"""`readerd fit` and `readerd quantify`: the right reading or one clear line, never a traceback."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from readerd.cli import main
from readerd.demo.plate import il6_assay_text, il6_plate
from readerd.driver.chemistry import reported
from readerd.plate import FORMATS, Unread

Run = Callable[..., tuple[int, str, str]]
STANDARDS = {300.0: 1.35, 150.0: 0.86, 75.0: 0.52, 37.5: 0.28, 18.75: 0.17, 9.38: 0.1, 4.69: 0.07}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code: int | str | None = 0
        try:
            main(list(arguments))
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in said.err
        assert "nan" not in re.findall(r"\b(?:nan|inf|NaN|Infinity)\b", said.out)
        return code, said.out, said.err

    return call


def standards(sign: str = ".", delimiter: str = ",", head: str = "concentration,response") -> str:
    lines = [head.replace(",", delimiter)]
    for x, y in {**STANDARDS, 0.0: 0.05}.items():
        for shift in (-0.004, 0.004):
            lines.append(f"{x}{delimiter}{y + shift:.4f}".replace(".", sign))
    return "\n".join(lines) + "\n"


def test_fit_answers_in_the_contracts_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(standards())
    (tmp_path / "u.csv").write_text("id,response\n007,0.30\n007,0.31\nhigh,2.0\nlow,0.04\n")
    code, out, _ = run("fit", "s.csv", "--unknowns", "u.csv", "--json", "--plot", "c.svg")
    answer = json.loads(out)
    assert code == 0
    assert {"identifiable", "aicc", "lack_of_fit", "warnings", "unknowns"} <= set(answer)
    first, high, low = answer["unknowns"]
    assert (first["id"], first["n"], first["status"]) == ("007", 2, "ok")
    assert first["ci95"][0] < first["concentration"] < first["ci95"][1]
    assert (high["qualifier"], high["limit"], high["concentration"]) == (">", 300.0, None)
    assert (low["qualifier"], low["limit"], low["concentration"]) == ("<", 4.69, None)
    assert ElementTree.parse(tmp_path / "c.svg").getroot().tag.endswith("svg")
    code, out, _ = run("fit", "s.csv", "--unknowns", "u.csv", "--extrapolate", "--json")
    assert json.loads(out)["unknowns"][1]["extrapolated"] > 300


def test_sigma_is_measured_by_the_weights_only_where_every_well_counts(
    run: Run, tmp_path: Path
) -> None:
    """The same scatter makes a smaller sigma of means: 1 says nothing there."""
    (tmp_path / "s.csv").write_text(standards())
    for fit_to, said in (("wells", True), ("level_means", False)):
        _, out, _ = run("fit", "s.csv", "--fit-to", fit_to)
        assert "sigma " in out
        assert ("1 = scatter as the weights assume" in out) is said


def _tenth(match: re.Match[str]) -> str:
    return f",{float(match[1]) / 10}\n"


@pytest.mark.parametrize(
    "text",
    [
        standards(delimiter=";", sign=","),
        standards(delimiter="\t", sign=","),
        standards(delimiter=";"),
        "\N{ZERO WIDTH NO-BREAK SPACE}" + standards(),
        standards().replace("\n", "\r\n"),
        standards(head="Conc,OD"),
        standards(head=" Concentration , response (OD)"),
        "sep=;\n" + standards(delimiter=";", sign=","),
        standards().replace("\n", ",,\n"),
        standards(head="concentration,response,"),
        standards().replace("\n", ",0\n").replace("response,0", "response,masked"),
    ],
)
def test_every_dialect_gives_the_same_curve(text: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(standards())
    (tmp_path / "other.csv").write_bytes(text.encode())
    assert run("fit", "plain.csv", "--json") == run("fit", "other.csv", "--json")


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (standards().replace("0.0960", "n/a"), 2, "line 12, column 'response': 'n/a' is no number"),
        (standards().replace("0.0960", ""), 2, "line 12, column 'response': '' is no number"),
        (standards().replace("0.0960", "nan"), 2, "'nan' is no number"),
        ("concentration,response\n300,1.35,2\n", 2, "line 2"),
        ("dose,signal\n1,2\n", 2, "no column 'concentration'; the header has 'dose', 'signal'"),
        ("concentration,response\n-3,1.35\n", 2, "a concentration is 0 or more"),
        ("concentration,response\n", 2, "no standard follows the header"),
        ("", 2, "the file is empty"),
        ("concentration,response\n300,1.35\n300,1.36\n", 1, "1 distinct standard levels"),
        (re.sub(r",[\d.]+\n", ",0.5\n", standards()), 1, "no curve: "),
        (re.sub(r",([\d.]+)\n", _tenth, standards()), 1, "a curve needs 0.2; --min-span and --s0"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_one_line(
    text: str, code: int, says: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(text)
    seen, out, err = run("fit", "s.csv")
    assert seen == code
    assert says in (err if code == 2 else out)
    assert (err if code == 2 else out).count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fix", "a"], "NAME=NUMBER"),
        (["--fix", "q=1"], "4pl has no parameter q to fix; it has a, b, c, d"),
        (["--fix", "=1"], "NAME=NUMBER"),
        (["--fix", "ab=1"], "no parameter ab"),
        (["--fix", "a=inf"], "NAME=NUMBER"),
        (["--fix", "a=nan"], "NAME=NUMBER"),
        (["--fix", "a=0", "--fix", "a=1"], "a twice: 0 and 1"),
        (["--s0", "nan"], "finite"),
        (["--cv", "nan"], "finite"),
        (["--min-span", "inf"], "finite"),
        (["--weighting", "none", "--s0", "0.01"], "--s0 belongs to --weighting variance"),
        (["--s0", "0", "--cv", "0"], "no weight is defined"),
        (["--model", "6pl"], "6pl"),
    ],
)
def test_wrong_choices_are_usage_errors(
    arguments: list[str], says: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(standards())
    code, _, err = run("fit", "s.csv", *arguments)
    assert code == 2
    assert says in err


def test_choices_reach_the_fit(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(standards())
    _, out, _ = run("fit", "s.csv", "--json", "--fix", "a=0.05", "--weighting", "none",
                    "--fit-to", "level_means", "--zero", "exclude")  # fmt: skip
    answer = json.loads(out)
    assert answer["params"]["a"] == 0.05
    assert answer["weighting"] == {"kind": "none", "s0": None, "cv": None}
    assert answer["fit_to"] == "level_means"


def test_a_masked_line_equals_an_absent_one(run: Run, tmp_path: Path) -> None:
    lines = [f"{line}," for line in standards().splitlines()]
    lines[0] = "concentration,response,masked"
    (tmp_path / "masked.csv").write_text("\n".join([*lines, "150,9.9,bubble"]))
    (tmp_path / "absent.csv").write_text("\n".join(lines))
    masked, absent = (json.loads(run("fit", f, "--json")[1]) for f in ("masked.csv", "absent.csv"))
    assert masked.pop("left_out") == [{"line": 18, "concentration": 150.0, "reason": "bubble"}]
    assert absent.pop("left_out") == []
    assert masked == absent


def test_the_screen_says_how_sure_and_why_not(run: Run, tmp_path: Path) -> None:
    text = standards(head="concentration (pg/mL),response")
    (tmp_path / "s.csv").write_text(text + "600,OVRFLW\n")
    unknowns = "id,response\n007,0.30\n007,0.31\n[/x],2.0\n:x:,OVER\nlow,-0.5\n"
    (tmp_path / "u.csv").write_text(unknowns)
    code, out, _ = run("fit", "s.csv", "--unknowns", "u.csv", "--extrapolate")
    assert code == 0
    flat = " ".join(out.split())
    for said in (
        "weights variance: 1/(0.005² + (0.05·f)²)",
        "zero standard: a point at x = 0",
        "with 12 degrees of freedom",
        "lack of fit F =",
        "reports from 4.69 to 300 pg/mL",
        "left out: line 18, 600: over range (OVRFLW)",
        "unknowns, pg/mL",
        ":x: 0 – – > 300 – – – above range",
        "unreadable: the curve has no concentration",
        "extrapolated: read beyond the standards",
    ):
        assert said in flat, said
    assert re.search(r"007 2 0\.305 2\.3 [\d.]+ [\d.]+ [\d.]+ – [\d.]+ – ok", flat)
    assert re.search(r"\[/x\] 1 2\.000 – > 300 – – [\d.]+ above range", flat)


def test_a_response_that_is_no_optical_density_needs_its_own_s0(run: Run, tmp_path: Path) -> None:
    lines = standards().splitlines()
    pairs = [line.split(",") for line in lines[1:]]
    (tmp_path / "rfu.csv").write_text(
        "\n".join([lines[0], *(f"{x},{float(y) * 10_000}" for x, y in pairs)])
    )
    _, out, _ = run("fit", "rfu.csv", "--json")
    assert "give --s0 in units of the response" in json.loads(out)["warnings"][-1]
    _, out, _ = run("fit", "rfu.csv", "--json", "--s0", "50")
    assert not any("--s0" in warning for warning in json.loads(out)["warnings"])


def test_there_must_be_a_zero_to_subtract_and_what_is_left_has_no_cv(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text("\n".join(standards().splitlines()[:-2]))
    code, _, err = run("fit", "s.csv", "--zero", "subtract")
    assert (code, "no standard of concentration 0 to subtract" in err) == (2, True)
    (tmp_path / "s.csv").write_text(standards())
    _, out, _ = run("fit", "s.csv", "--zero", "subtract", "--json")
    assert json.loads(out)["levels"][-1]["cv_pct"] is None


def plate_csv(path: Path, **changes: str) -> None:
    chemistry = il6_plate().chemistry
    lines = ["well,450,570"]
    for well in FORMATS[96].wells:
        cells = []
        for nm in (450, 570):
            value = reported(chemistry.optical_density(well, nm), 3, 3.5)
            cells.append("OVER" if isinstance(value, Unread) else f"{value:.3f}")
        lines.append(f"{well}," + changes.get(well, ",".join(cells)))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    (tmp_path / "a.toml").write_text(il6_assay_text())
    plate_csv(tmp_path / "r.csv")
    return tmp_path


def test_quantify_with_pictures_and_report(run: Run, plate: Path) -> None:
    code, out, _ = run("quantify", "--assay", "a.toml", "--reading", "r.csv", "--json",
                       "--plot", "pictures", "--report", "out/plate.html")  # fmt: skip
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["curve"]) == (0, "pass", "accepted")
    truth = il6_plate().truth
    found = {one["position"]: one["value"] for one in answer["samples"]}
    assert found["QH"] == pytest.approx(truth["QH"], rel=0.15)
    names = {path.name for path in (plate / "pictures").iterdir()}
    assert names == {
        "curve.svg", "plate-450.svg", "plate-570.svg", "plate-corrected.svg", "recovery.svg",
        "residual.svg",
    }  # fmt: skip
    assert "r.csv" in (plate / "out" / "plate.html").read_text()
    code, out, _ = run("quantify", "--assay", "a.toml", "--reading", "r.csv")
    assert code == 0
    assert out.lstrip().startswith("PASS")


def test_why_follows_a_well_or_says_what_there_is(run: Run, plate: Path) -> None:
    asked = ("quantify", "--assay", "a.toml", "--reading", "r.csv", "--why")
    code, out, _ = run(*asked, "C3", "--why", "S1")
    assert code == 0
    assert [line[3:5] for line in out.splitlines() if "what was read" in line] == ["U1", "S1"]
    assert "450 – 570 nm" in out
    code, _, err = run(*asked, "U99")
    assert (code, err.count("\n")) == (2, 1)
    assert run(*asked, "U1", "--json")[0] == 2


def test_a_saturated_top_standard_is_left_out_never_clipped(run: Run, plate: Path) -> None:
    plate_csv(plate / "r.csv", A1="OVER,0.04", A2="OVER,0.04")
    _, out, _ = run("quantify", "--assay", "a.toml", "--reading", "r.csv", "--json")
    answer = json.loads(out)
    assert answer["wells"]["corrected"][0] is None
    assert answer["wells"]["flags"][0] == ["SATURATED"]
    assert answer["fit"]["uloq"] == 150.0


def test_wells_that_are_not_in_the_file_are_named(run: Run, plate: Path) -> None:
    whole = (plate / "r.csv").read_text().splitlines()
    (plate / "r.csv").write_text("\n".join(line for line in whole if not line.startswith("C5,")))
    _, out, _ = run("quantify", "--assay", "a.toml", "--reading", "r.csv", "--json")
    answer = json.loads(out)
    assert answer["acquisition"] == "incomplete"
    assert "NOT_MEASURED" in answer["wells"]["flags"][28]


def test_masks_and_plate_map(run: Run, plate: Path) -> None:
    (plate / "m.csv").write_text("position,sample_id,dilution\nU1,0042,2\n")
    _, out, _ = run("quantify", "--assay", "a.toml", "--reading", "r.csv", "--json",
                    "--mask", "C3=bubble", "--plate-map", "m.csv")  # fmt: skip
    answer = json.loads(out)
    sample = next(one for one in answer["samples"] if one["position"] == "U1")
    assert (sample["sample_id"], sample["dilution"]) == ("0042", 2.0)
    assert sample["value"] == sample["concentration"] * 2
    assert answer["wells"]["masked"][26] == "bubble"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--mask", "C3"], 2, "WELL=REASON"),
        (["--mask", "Z99=gone"], 2, "Z99"),
        (["--mask", "U1=gone"], 2, "a mask names a well, and U1 is in C3, C4"),
        (["--mask", "C3=a", "--mask", "C03=b"], 2, "masked twice"),
        (["--plate-map", "none.csv"], 2, "cannot be read"),
        (["--report", "r.csv/x.html"], 2, "cannot be written"),
    ],
)
def test_quantify_says_what_is_wrong(
    arguments: list[str], code: int, says: str, run: Run, plate: Path
) -> None:
    seen, _, err = run("quantify", "--assay", "a.toml", "--reading", "r.csv", *arguments)
    assert (seen, says in err) == (code, True), err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("position,sample_id,Dilution factor\nU1,x,2\n", "name the column 'Dilution factor'"),
        ("position,sample_id\nu1,x\n", "m.csv: u1: no sample or control of the layout; the layout"),
        ("position,sample_id\nA1,x\n", "m.csv: A1: is a standard (S1): only samples and controls"),
        ("position,sample_id,dilution\nU1,x,0\n", "line 2, column 'dilution': the dilution is a"),
        ("position,sample_id,dilution\nU1,x,1e20\n", "m.csv: U1: the dilution is a number above 0"),
        ("position,sample_id\n", "no sample follows the header"),
    ],
)
def test_a_plate_map_that_binds_nothing_or_badly(
    text: str, says: str, run: Run, plate: Path
) -> None:
    (plate / "m.csv").write_text(text)
    code, _, err = run(
        "quantify", "--assay", "a.toml", "--reading", "r.csv", "--plate-map", "m.csv"
    )
    assert (code, says in err, err.count("\n")) == (2, True, 1), err


def test_names_and_units_are_printed_as_they_stand(run: Run, plate: Path) -> None:
    (plate / "a.toml").write_text(il6_assay_text().replace('"pg/mL"', '"[IU]/mL"'))
    (plate / "m.csv").write_text("position,sample_id\nU1,[/x]\nU2,:x:\n")
    code, out, _ = run(
        "quantify", "--assay", "a.toml", "--reading", "r.csv", "--plate-map", "m.csv"
    )
    assert code == 0
    assert "samples, [IU]/mL" in out
    assert "nominal [IU]/mL" in out
    assert "[/x]" in out
    assert ":x:" in out


def test_nobody_reading_the_output_is_no_failed_verdict(plate: Path) -> None:
    command = [sys.executable, "-m", "readerd", "quantify", "--assay", "a.toml"]
    with subprocess.Popen(
        [*command, "--reading", "r.csv"], cwd=plate, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 141


def test_a_reading_without_the_reference_is_refused(run: Run, plate: Path) -> None:
    text = (plate / "r.csv").read_text().replace("well,450,570", "well,450,630")
    (plate / "r.csv").write_text(text)
    code, _, err = run("quantify", "--assay", "a.toml", "--reading", "r.csv")
    assert code == 3
    assert "wavelength_unavailable: assay il6-elisa corrects with 570 nm" in err


def test_a_wrong_assay_file_lists_all_its_mistakes(run: Run, plate: Path) -> None:
    (plate / "a.toml").write_text(il6_assay_text().replace("= 450", "= 'x'").replace("4pl", "9pl"))
    code, _, err = run("quantify", "--assay", "a.toml", "--reading", "r.csv")
    assert code == 2
    assert "read.measurement_nm" in err
    assert "curve.model" in err


def test_an_answer_that_finds_no_room_is_one_line(tmp_path: Path) -> None:
    """1 would mean a failed verdict."""
    (tmp_path / "s.csv").write_text(standards())
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "readerd", "fit", str(tmp_path / "s.csv"), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 74
    assert process.stderr == "readerd: the answer cannot be written: No space left on device\n"
