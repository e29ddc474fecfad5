"""The assay file: the shipped one, and every mistake at once with its path."""

import pytest

from readerd.assay.acceptance import Acceptance
from readerd.assay.definition import Assay, load_assay
from readerd.assay.layout import Binding, parse_grid, plate_map_from_csv
from readerd.errors import ConfigError, InputError
from tests.assay.plates import SHIPPED, il6

GRID = il6().text.split('"""')[1]


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_assay(text, "x.toml")
    return [str(mistake) for mistake in caught.value.mistakes]


def changed(*pairs: tuple[str, str]) -> str:
    text = il6().text
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_the_shipped_assay_is_the_contracts() -> None:
    assay = il6()
    assert (assay.id, assay.version, assay.analyte, assay.unit) == (
        "il6-elisa",
        "1",
        "IL-6",
        "pg/mL",
    )
    assert (assay.read.measurement_nm, assay.read.reference_nm) == (450, 570)
    assert assay.layout.standards["S1"] == 300.0
    assert assay.layout.controls["QH"] == (150.0, 250.0)
    assert len(assay.layout.groups) == 48
    assert assay.layout.groups["U1"] == (26, 27)
    assert assay.layout.roles[:3] == ("standard", "standard", "control")
    assert assay.samples == {}


def test_the_shipped_assay_states_every_default_as_it_is() -> None:
    shipped = il6()
    text = SHIPPED.read_text("utf-8")
    for section in ("curve", "acceptance", "read"):
        kept = []
        inside = False
        for line in text.splitlines():
            if line.startswith("["):
                inside = line.startswith(f"[{section}]")
            if not inside or line.startswith(("[", "measurement_nm", "reference_nm")):
                kept.append(line)
        bare = load_assay("\n".join(kept), "bare")
        assert getattr(bare, section) == getattr(shipped, section)
        named = shipped.acceptance.__dataclass_fields__ if section == "acceptance" else ()
        assert all(f"\n{name} = " in text or f"# {name} = " in text for name in named)
    assert shipped.acceptance == Acceptance()


def test_what_a_file_leaves_out_is_the_default() -> None:
    shipped = il6()
    sections = il6().text.split("\n[")
    kept = [text for text in sections if text.startswith(("assay]", "layout]"))]
    read = "read]\nmeasurement_nm = 450\nreference_nm = 570\n"
    text = "\n".join(f"[{section}" for section in (*kept, read, 'samples]\nU1 = { id = "7" }\n'))
    bare = load_assay(text.replace("\nformat = 96", ""), "bare")
    assert bare.layout == shipped.layout
    assert (bare.curve, bare.acceptance, bare.kit) == (
        shipped.curve,
        shipped.acceptance,
        shipped.kit,
    )
    assert bare.samples == {"U1": Binding("7", 1.0)}
    assert (bare.kit.lot, bare.kit.expires) == ("", "")


def test_text_and_hash_belong_to_the_file() -> None:
    assert il6().text == SHIPPED.read_text("utf-8")
    assert len(il6().sha256) == 64
    other = load_assay(il6().text + "\n", "x")
    assert other.sha256 != il6().sha256


def test_every_mistake_at_once_with_its_path() -> None:
    found = mistakes_of(
        changed(
            ("measurement_nm = 450", 'measurement_nm = "450"'),
            ('model = "4pl"', 'model = "6pl"'),
            ("shake_s", "shakes"),
            ("min_levels =", "min_lvls ="),
            ('profile = "m10"', 'profile = "m11"'),
            ("U23 U23 U31 U31", "U23 U23 U31"),
            ("S5 S5 U3", "S5 S9 U3"),
            ("U8  U8", "U8  8U"),
        )
    )
    assert found == [
        "read.measurement_nm: must be a whole number, not '450'",
        "read.shakes: unknown key",
        "curve.model: must be '4pl', '5pl', '5pl-mirrored', 'auto', 'linear', 'log-log'"
        " or 'point-to-point', not '6pl'",
        "acceptance.min_lvls: unknown key",
        "acceptance.profile: must be 'm10' or 'kit', not 'm11'",
        "layout.plate row A: 11 cells, a 96-well plate has 12 columns",
        "layout.plate row B column 6: '8U' is no position name"
        " (a letter, then letters and numbers; '.' = empty)",
        "layout.plate row E column 2: S9 is not in layout.standards or layout.controls",
    ]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('id = "il6-elisa"', "", "assay.id: is missing"),
        ("reference_nm = 570", "", "read.reference_nm: is missing"),
        ("cv = 0.05", "cv = nan", "curve.cv: must be a finite number, not nan"),
        ("S8 = 0.0", "S8 = -1.0", "layout.standards.S8: must be at least 0"),
        ("S8 = 0.0", "S8 = 4.69", "layout.standards.S8: has the concentration of S7"),
        ("S8 = 0.0", "S8 = 0.0, S9 = 1.0", "layout.standards.S9: no well of layout.plate holds it"),
        ("[20.0, 40.0]", "[40.0, 20.0]", "layout.controls.QL: the range is [low, high]"),
        ("format = 96", "format = 384", "8 rows of 12 cells are a 96-well plate, and layout"),
        ("# U1 =", "U99 =", "samples.U99: no sample or control of layout.plate"),
        ("reference_nm = 570", "reference_nm = 450", "is the measurement wavelength"),
        ("warn_above_od = 3.0", "warn_above_od = 4.0", "lies above read.no_value_above_od"),
        ('blank = "none"', 'blank = "subtract"', "needs wells named B"),
        ("# range_low = 4.69", "range_low = 400.0\nrange_high = 300.0 #", "at or above range_high"),
        ("min_levels = 6", "min_levels = 8", "layout.standards has 7 above 0: every plate"),
        ("s0 = 0.005", "s0 = 0.0\ncv = 0.0 #", "twice"),
        ("[kit]", "[kits]", "kits: unknown key"),
        ('expires = ""', 'expires = "31.01.2027"', "kit.expires: write the day as 2027-01-31"),
        ('expires = ""', 'expires = "2027-13"', "or the month as 2027-01, not '2027-13'"),
        ("fixed = {}", "fixed = { g = 1.0 }", "curve: 4pl has no parameter g to fix"),
        ("fixed = {}", "fixed = { q = 1.0 }", "curve.fixed.q: must be 'a', 'b'"),
        ("S1 S1 QL", "s1 S1 QL", "layout.plate row A column 1: s1 is not in layout.standards"),
        ("# U1 =", "U1 = { dilution = 1e300 } #", "U1.dilution: must be at most 1000000000000"),
        ("fixed = {}", "fixed = { b = 0.0 }", "curve: b can only be fixed above 0, not at 0"),
        (
            "fixed = {}",
            "fixed = { a = 0.1, b = 1.0, c = 9.0, d = 2.0 }",
            "curve: every parameter is fixed",
        ),
        ("fixed = {}", "fixed = { a = 1.0, d = 1.0 }", "curve: a and d are fixed at the same"),
        ("S1 S1 QL QL", "S1 S1 QL X:2", "layout.plate row A column 4: X:2 is not in"),
        ("QL = [20.0", "B = [20.0", "layout.controls.B: B means blank"),
        ("QL = [20.0", "S1 = [20.0", "layout.controls.S1: is a standard too"),
    ],
)
def test_one_mistake_is_said_in_one_line(old: str, new: str, mistake: str) -> None:
    if mistake == "twice":
        mistake = "not TOML: Cannot overwrite a value"
    found = mistakes_of(changed((old, new)))
    assert any(mistake in line for line in found), found


def test_weights_that_weigh_nothing_are_a_mistake() -> None:
    found = mistakes_of(changed(("s0 = 0.005", "s0 = 0.0"), ("cv = 0.05", "cv = 0.0")))
    assert found == ["curve: s0 and cv are both 0: no weight is defined"]


def test_a_kit_has_its_zero_standard_in_the_fit_or_subtracted() -> None:
    kit = ('profile = "m10"', 'profile = "kit"')
    excluded = ('zero_standard = "anchor"', 'zero_standard = "exclude"')
    assert "profile kit has the zero standard" in mistakes_of(changed(kit, excluded))[0]
    assert load_assay(changed(excluded), "x").curve.zero_standard == "exclude"
    no_zero = changed(kit, excluded, ("S8 = 0.0", "S8 = 2.0"))
    assert load_assay(no_zero, "x").acceptance.profile == "kit"


def test_what_is_no_toml_is_said_with_its_line() -> None:
    assert "line 3" in mistakes_of('[assay]\nid = "x"\nid = \n')[0]


def test_an_assay_file_may_begin_with_a_bom() -> None:
    assert load_assay("\ufeff" + il6().text, "x").id == "il6-elisa"


def test_the_zero_standard_must_exist_to_be_subtracted() -> None:
    text = changed(
        ("S8 = 0.0", "S8 = 1.0"), ('zero_standard = "anchor"', 'zero_standard = "subtract"')
    )
    assert "needs a standard with concentration 0" in mistakes_of(text)[0]
    text = changed(
        ('zero_standard = "anchor"', 'zero_standard = "subtract"'),
        ('blank = "none"', 'blank = "subtract"'),
    )
    assert "curve.blank: blank and zero standard: subtract only one" in mistakes_of(text)


def test_alternatives_need_a_reference_to_stand_in_for() -> None:
    alternatives = ("reference_alternatives_nm = []", "reference_alternatives_nm = [630]")
    text = changed(("reference_nm = 570 ", "reference_nm = 0 "), alternatives)
    assert "stand in for a reference_nm, which is 0" in mistakes_of(text)[0]


def as_positions(text: str, format: int = 96) -> tuple[str | None, ...]:
    positions, mistakes = parse_grid(text, format)
    assert mistakes == ()
    return positions


def test_grids_as_text_as_csv_and_as_lists_are_the_same() -> None:
    plain = as_positions(GRID)
    rows = [line.split() for line in GRID.splitlines() if line.strip()]
    for sign in (",", ";", "\t"):
        assert as_positions("\n".join(sign.join(row) for row in rows)) == plain
    heading = "," + ",".join(str(column + 1) for column in range(12))
    lettered = [",".join([letter, *row]) for letter, row in zip("ABCDEFGH", rows, strict=True)]
    assert as_positions("\n".join([heading, *lettered])) == plain
    assert as_positions("\n".join(f"{line},," for line in [heading, *lettered])) == plain
    assert as_positions("\n".join(f"{','.join(row)},," for row in rows)) == plain
    listed = ["well;position"]
    listed += [
        f"{w[0]}{int(w[1:]):02d};{p}" for w, p in zip(il6().layout.wells, plain, strict=True)
    ]
    assert as_positions("\n".join(listed)) == plain


def test_a_ragged_row_between_headings_is_the_only_one_told() -> None:
    rows = [f"{letter} {' '.join(['U1'] * 12)}" for letter in "ABCDEFGH"]
    heading = " ".join(str(column + 1) for column in range(12))
    for lines in (rows, [heading, *rows], [f"X {heading}", *rows]):
        ragged = [line.removesuffix(" U1") if line.startswith("F ") else line for line in lines]
        _, mistakes = parse_grid("\n".join(ragged), 96)
        said = ["layout.plate row F: 11 cells, a 96-well plate has 12 columns"]
        assert [str(mistake) for mistake in mistakes] == said


def test_positions_may_be_named_like_the_rows() -> None:
    named = as_positions("\n".join(letter + " U1" * 11 for letter in "ABCDEFGH"))
    assert named[::12] == tuple("ABCDEFGH")


def test_empty_cells_and_384_wells() -> None:
    some = as_positions("\n".join(["S1,S1,,.,U1,U1,,,,,,"] * 8))
    assert some[:6] == ("S1", "S1", None, None, "U1", "U1")
    large = as_positions("\n".join([" ".join(["U1"] * 24)] * 16), 384)
    assert len(large) == 384


def test_a_list_names_its_lines() -> None:
    _, mistakes = parse_grid("well,position\nA1,S1\nA01,S2\nK1,S3\nA2,S-?\n", 96)
    assert [str(mistake) for mistake in mistakes] == [
        "layout.plate line 3: well A1 stands twice",
        "layout.plate line 4: well K1 is not on a 96-well plate (A1 to H12)",
        "layout.plate line 5: 'S-?' is no position name"
        " (a letter, then letters and numbers; '.' = empty)",
    ]


def test_a_384_well_assay_loads_and_has_its_wells() -> None:
    rows = [[position for position in line.split() for _ in (0, 1)] for line in GRID.splitlines()]
    grid = "\n".join(" ".join(row) for row in rows if row for _ in (0, 1))
    text = il6().text.replace(GRID, "\n" + grid + "\n").replace("format = 96", "format = 384")
    assay: Assay = load_assay(text, "384")
    assert assay.layout.format == 384
    assert len(assay.layout.groups["S1"]) == 8
    assert assay.layout.wells[-1] == "P24"


def test_plate_map_from_csv_keeps_ids_as_text() -> None:
    given = plate_map_from_csv(
        "\ufeffposition;sample_id;dilution\nU1;0007;2,5\nC5;S-2;\nU3;;4\n", "m.csv"
    )
    assert given.samples == {
        "U1": Binding("0007", 2.5),
        "C5": Binding("S-2", None),
        "U3": Binding(None, 4.0),
    }


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("position,dilution\nU1,2\n", "no column 'sample_id'"),
        (
            "position,sample_id,dilution\nU1,x,two\n",
            "line 2, column 'dilution': 'two' is no number",
        ),
        ("position,sample_id,dilution\nU1,x,0\n", "a number above 0"),
        ("position,sample_id\nU1,x\nU1,y\n", "line 3, column 'position': 'U1' stands twice"),
    ],
)
def test_plate_maps_that_cannot_be_used(text: str, mistake: str) -> None:
    with pytest.raises(InputError) as caught:
        plate_map_from_csv(text, "m.csv")
    assert mistake in str(caught.value)
