"""A scan arms, a press reads, the lamp tells: each physical press is one result at most."""

import asyncio
import json
from pathlib import Path

import pytest

from readerd.edge import panel
from readerd.run.outbox import Outcome
from tests.edge.panel_scene import (
    EVDEV,
    GPIO,
    MQTT,
    SCAN,
    SERIAL,
    UNIDENTIFIED,
    Desk,
    play,
)
from tests.edge.recorded import key, line_edge


def test_a_scan_and_a_press_are_one_result_and_the_lamp_follows(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        assert desk.shines("dark", "idle")
        await desk.scan("PLT1")
        assert (desk.lamp.light, desk.lamp.plate_barcode) == ("amber", "PLT1")
        arm_id = desk.house.runner.arming.arm_id
        await desk.press()
        assert desk.shines("blinking", "reading")
        assert desk.lamp.run_id == desk.house.runner.current_run
        await desk.read()
        assert desk.shines("blinking", "delivering")
        desk.acknowledge()
        assert desk.shines("green", "done")
        data = desk.result().data
        assert (data.plate.barcode, data.plate.barcode_source) == ("PLT1", "scanner")
        assert data.run.key == f"serial:{tmp_path}/button@{arm_id}"
        trigger = data.run.trigger
        assert (trigger.kind, trigger.source, data.run.operator) == ("button", "serial", None)
        assert desk.runs() == [("done", "PLT1")]
        await desk.scan("PLT2")
        assert desk.shines("amber", "armed")

    play(tmp_path, SERIAL, script)


@pytest.mark.parametrize("settings", [SERIAL, SCAN])
def test_nervous_hands_are_one_result(tmp_path: Path, settings: str) -> None:
    async def press(desk: Desk) -> None:
        if settings == SCAN:
            await desk.scan("READ")
        else:
            await desk.feed("button", b"READ\nREAD\nREAD\n")  # a contact that bounces

    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        for _ in range(3):  # a double press
            await press(desk)
        desk.acknowledge()
        await desk.read()
        assert desk.refusals() == []
        desk.acknowledge()
        assert desk.runs() == [("done", "PLT1")]
        await desk.scan("PLT2")
        await press(desk)
        while desk.house.runner.current_run:
            await desk.feed("scanner", b"")
        await press(desk)  # at the lamp that has just turned
        assert desk.runs() == [("done", "PLT1"), ("done", "PLT2")]
        assert (desk.refusals(), desk.lamp.state) == ([], "delivering")

    play(tmp_path, settings, script)


def test_a_press_during_a_read_is_busy_and_journalled_and_the_lamp_goes_on_blinking(
    tmp_path: Path,
) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.press()
        for _ in range(100):
            await desk.scan("")
        await desk.press()
        await desk.scan("PLT2")
        assert desk.shines("blinking", "reading")
        await desk.read()
        assert desk.runs() == [("done", "PLT1")]
        assert desk.refusals() == ["busy", "busy"]

    play(tmp_path, SERIAL, script)


def test_an_unarmed_press_is_refused_shown_for_a_while_and_does_not_lock(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.press()
        assert desk.shines("red", "refused", "not_armed")
        await desk.scan("PLT1")
        assert desk.shines("amber", "armed")
        await desk.press()
        await desk.read()
        await desk.press()
        assert desk.shines("red", "refused", "not_armed")
        for _ in range(100):  # five seconds
            await desk.scan("")
        assert desk.shines("blinking", "delivering")
        assert desk.runs() == [("done", "PLT1")]
        assert desk.refusals() == ["not_armed", "not_armed"]

    play(tmp_path, SERIAL, script)


def test_an_unarmed_press_reads_unidentified_where_that_is_allowed(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.press()
        await desk.read()
        assert desk.runs() == [("done", None)]
        await desk.press()
        await desk.read()
        assert desk.runs() == [("done", None), ("done", None)]

    play(tmp_path, SERIAL + UNIDENTIFIED, script)


REFUSED = [
    ("no barcode!", "", "barcode_invalid"),
    ("PLT1", '[plates]\nplate_map = "required"\n', "plate_map_missing"),
    ("PLT1", "[plates]\nrequire_operator = true\n", "operator_missing"),
]


@pytest.mark.parametrize(("barcode", "rule", "code"), REFUSED, ids=[code for *_, code in REFUSED])
def test_what_is_missing_or_wrong_is_refused_with_its_code(
    tmp_path: Path, barcode: str, rule: str, code: str
) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan(barcode)
        if desk.lamp.state == "armed":
            await desk.press()
        assert desk.shines("red", "refused", code)
        assert (desk.lamp.plate_barcode, desk.refusals(), desk.runs()) == (barcode, [code], [])
        [*_, refused] = desk.house.store.outbox.between("event", 1, 9, 9)
        assert json.loads(refused.payload)["subject"] == barcode

    play(tmp_path, rule + SERIAL, script)


def test_a_plate_is_read_again_for_a_reason_that_was_scanned(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        for press in range(2):
            await desk.scan("PLT1")
            await desk.press()
            await desk.read()
            assert desk.refusals() == ["already_read"] * press
        await desk.scan("PLT1")
        await desk.scan("WHY-SPILL")
        await desk.press()
        await desk.read()
        data = desk.result().data
        assert (data.run.read_type, data.reason) == ("reread", "the plate was spilled")
        await desk.scan("PLT1")
        await desk.press()
        assert desk.shines("red", "refused", "already_read")  # a reason is good for one read
        await desk.scan("PLT2")
        await desk.scan("WHY-SPILL")
        await desk.scan("PLT1")
        await desk.press()
        assert desk.shines("red", "refused", "already_read")  # and for the plate it was said of
        assert desk.lamp.text == "plate PLT1 has been read; scan a reason to read it again"

    why = '[scanner.reread]\nWHY-SPILL = "the plate was spilled"\n'
    play(tmp_path, SERIAL + why, script)


def test_a_badge_says_who_reads_until_it_expires_or_another_comes(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("OP-17")
        for number, operator in enumerate(("17", "18")):
            await desk.scan(f"OP-{operator}")
            await desk.scan(f"PLT{number}")
            await desk.press()
            await desk.read()
            told = desk.result().data.run.operator
            assert told is not None
            assert (told.id, told.known_by) == (operator, "badge")
        await desk.minutes(10)
        await desk.scan("PLT9")
        await desk.press()
        assert desk.shines("red", "refused", "operator_missing")
        assert desk.lamp.text == "say who reads: scan a badge"
        await desk.scan("OP-17")
        await desk.press()
        assert desk.shines("blinking", "reading")

    badge = SERIAL.replace("[button]", 'badge = "OP-(.+)"\nbadge_valid_s = 600\n[button]')
    play(tmp_path, "[plates]\nrequire_operator = true\n" + badge, script)


def test_an_announcement_expires_and_the_lamp_with_it(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.minutes(2)
        assert desk.shines("dark", "idle")
        await desk.press()
        assert desk.refusals() == ["not_armed"]

    play(tmp_path, SERIAL, script)


@pytest.mark.parametrize("source", ["button", "scanner"])
def test_an_abort_line_gives_up_the_run_or_the_announcement(tmp_path: Path, source: str) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.feed(source, b"ABORT\r")
        assert desk.shines("dark", "idle")
        await desk.scan("PLT1")
        await desk.press()
        await desk.feed(source, b"ABORT\r")
        assert desk.shines("red", "failed", "aborted")
        assert desk.runs() == [("failed", "PLT1")]
        await desk.feed(source, b"ABORT\r")
        assert desk.shines("red", "refused", "state_mismatch")
        assert desk.refusals() == ["state_mismatch"]

    play(tmp_path, SERIAL, script)


def test_a_foot_switch_reads_and_aborts_when_it_is_held(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.feed("button", key(48, 1) + key(48, 0))
        for _ in range(50):
            await desk.scan("")
        await desk.feed("button", key(48, 1, at_us=1_700_000_010_000_000))
        for _ in range(41):  # held for two seconds
            assert desk.lamp.state in ("reading", "failed")
            await desk.scan("")
        assert desk.shines("red", "failed", "aborted")
        failure = desk.result().data.failure
        assert failure is not None
        assert failure.text == "aborted: the button was held"

    play(tmp_path, EVDEV, script)


def test_a_foot_switch_that_is_pulled_out_under_the_foot_is_held_by_nobody(
    tmp_path: Path,
) -> None:
    async def script(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.feed("button", key(48, 1) + key(48, 0))
        await asyncio.sleep(2)  # virtual
        await desk.feed("button", key(48, 1, at_us=1_700_000_003_000_000))
        desk.unplug("button")
        await desk.read()
        assert desk.runs() == [("done", "PLT1")]
        await desk.scan("PLT2")
        await desk.feed("button", key(48, 1, at_us=1_700_000_030_000_000))
        await desk.read()
        assert desk.runs() == [("done", "PLT1"), ("done", "PLT2")]

    play(tmp_path, EVDEV, script)


RECORDED = [
    (EVDEV, key(48, 1) + key(48, 0)),
    (GPIO, line_edge(900, 1, is_down=True) + line_edge(80_000_900, 2, is_down=False)),
]


@pytest.mark.parametrize(("settings", "recorded"), RECORDED, ids=["evdev", "gpio"])
def test_the_same_recorded_press_is_one_run_also_after_a_restart(
    tmp_path: Path, settings: str, recorded: bytes
) -> None:
    async def script(desk: Desk) -> None:
        await desk.feed("button", recorded)
        await desk.read()
        await desk.feed("button", recorded)
        await desk.read()
        assert desk.runs() == [("done", None)]
        assert desk.refusals() == []

    async def another(desk: Desk) -> None:
        await script(desk)
        later = key(48, 1, at_us=1_700_000_000_000_001) + line_edge(901, 3, is_down=True)
        await desk.feed("button", later[:48] if settings == EVDEV else later[-48:])
        await desk.read()
        assert desk.runs() == [("done", None), ("done", None)]

    play(tmp_path, settings + UNIDENTIFIED, script, script, another)


def test_the_same_moment_after_another_boot_that_cannot_be_named_is_another_press(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(desk: Desk) -> None:
        await desk.feed("button", line_edge(900, 1, is_down=True))
        await desk.read()

    async def tomorrow(desk: Desk) -> None:
        await script(desk)
        assert desk.runs() == [("done", None), ("done", None)]

    monkeypatch.setattr(panel, "_BOOT_ID", tmp_path / "hidden")
    play(tmp_path, GPIO + UNIDENTIFIED, script, tomorrow)


def test_a_press_after_a_restart_in_mid_read_reads_nothing_by_itself(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.scan("PLT1")
        await desk.press()  # and the daemon ends while the plate is read

    async def after(desk: Desk) -> None:
        assert [state for state, _ in desk.runs()] == ["interrupted"]
        await desk.press()
        await desk.read()
        assert desk.runs() == [("interrupted", "PLT1")]
        assert desk.refusals() == ["not_armed"]
        await desk.scan("PLT1")
        await desk.press()
        await desk.read()
        assert desk.runs() == [("interrupted", "PLT1"), ("done", "PLT1")]

    play(tmp_path, SERIAL, before, after)


def test_a_remote_button_reads_announced_plates_only_and_nothing_that_was_kept(
    tmp_path: Path,
) -> None:
    async def script(desk: Desk) -> None:
        desk.remote("ON")
        assert desk.shines("red", "refused", "not_armed")
        await desk.scan("PLT1")
        await desk.scan("")
        desk.remote("ON", retained=True)
        desk.remote('{"action":"double"}')
        assert desk.shines("amber", "armed")
        desk.remote('{"event":"S","event_cnt":7}')
        assert desk.shines("blinking", "reading")
        await desk.read()
        assert desk.result().data.run.trigger.source == "mqtt"
        await desk.scan("PLT2")
        desk.remote('{"event":"S","event_cnt":7}')  # the same press, delivered late
        assert desk.shines("amber", "armed")
        desk.remote('{"event":"S","event_cnt":8}')
        desk.remote('{"action":"hold"}')
        await desk.scan("")
        assert desk.shines("red", "failed", "aborted")
        assert desk.runs() == [("done", "PLT1"), ("failed", "PLT2")]

    play(tmp_path, MQTT + UNIDENTIFIED, script)


def test_green_waits_for_the_receipts_and_a_refusal_of_the_lims_is_red(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        outbox = desk.house.store.outbox
        outcomes: tuple[Outcome, ...] = ("stored", "refused")
        for number, outcome in enumerate(outcomes):
            await desk.scan(f"PLT{number}")
            await desk.press()
            await desk.read()
            desk.acknowledge()
            assert desk.shines("blinking", "delivering")
            receipt = (desk.result().id, outcome, "", "2026-03-04T09:15:42Z")
            outbox.receipt("lims", *receipt)
            desk.house.edge.outbox.settle()
            assert desk.shines(*(("green", "done") if number == 0 else ("red", "failed")))
        assert desk.lamp.text == "a consumer refuses the result"

    mqtt = '[mqtt]\nurl = "mqtt://127.0.0.1"\nrequired_receipts = ["lims"]\n'
    play(tmp_path, mqtt + SERIAL, script)


def test_inputs_that_are_unplugged_come_back_and_stop_nothing(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        desk.is_unplugged = True
        desk.unplug("scanner")
        desk.unplug("button")
        desk.opened.clear()
        await desk.minutes(2)
        alarms = desk.house.edge.alarms
        assert set(alarms) == {"scanner-lost", "button-lost"}
        assert "No such file" in alarms["button-lost"]
        assert 8 < desk.opened.count("scanner") < 16  # 1, 2, 4, 8 and then every 10 s
        desk.is_unplugged = False
        await desk.minutes(0.5)
        assert desk.house.edge.alarms == {}
        await desk.scan("PLT1")
        await desk.press()
        await desk.read()
        assert desk.runs() == [("done", "PLT1")]

    play(tmp_path, SERIAL, script)
