"""Commands to a whole daemon through real brokers: at most once, soon, and always answered."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from readerd.demo.broker import Broker
from tests.conftest import StartMosquitto
from tests.whole.whole_lims import (
    ALL,
    ROOT,
    MakeBench,
    asking_for,
    configure,
    lims,
    running,
)

OPEN = f"commands = {json.dumps(ALL)}"
VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


def statuses(answers: list[Any]) -> list[str]:
    return [answer["status"] for answer in answers]


@VERSIONS
async def test_a_remote_read_is_answered_twice_and_repeated_from_memory(
    bench: MakeBench, mosquitto: StartMosquitto, version: str
) -> None:
    broker = mosquitto()
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=f'{OPEN}\nversion = "{version}"')
    async with lims(broker.port, version) as client:
        async with running(here) as house:
            answers = await client.ask("read", "R1", plate_barcode="PLT1")
            assert statuses(answers) == ["accepted", "completed"]
            run_id = answers[0]["data"]["run_id"]
            data = answers[1]["data"]
            assert (data["run_id"], data["state"], data["verdict"]) == (run_id, "done", "pass")
            again = await client.ask("read", "R1", plate_barcode="PLT1")
            assert again == [{**answer, "duplicate": True} for answer in answers]
            assert [run.id for run in house.store.newest(9)] == [run_id]
            run = house.store.run(run_id)
            assert run is not None
            assert run.key == "R1"
            assert run.request["trigger"] == {"kind": "mqtt", "source": "lims"}
        async with running(here) as house:  # also after a restart, and with another verb
            once_more = await client.ask("ping", "R1")
            assert once_more == again
            assert len(house.store.newest(9)) == 1


@VERSIONS
async def test_a_retained_read_that_lies_there_before_the_start_is_refused_and_answered(
    bench: MakeBench, mosquitto: StartMosquitto, version: str
) -> None:
    broker = mosquitto()
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=f'{OPEN}\nversion = "{version}"')
    async with lims(broker.port) as client:
        await client.command("read", "R1", retain=True, plate_barcode="PLT1")
        async with running(here) as house:
            [answer] = await client.hear("rsp/lims")
            assert (answer["status"], answer["error"]) == ("rejected", "retained_command")
            assert house.store.newest(9) == []
            assert house.bench.state == "ready"
            [pong] = [one for one in await client.ask("ping", "R2") if one["status"] == "completed"]
            assert pong["data"]["state"] == "ready"
        kinds = [json.loads(payload)["data"] for topic, payload in client.heard if topic == "event"]
        assert [(one["kind"], one["code"]) for one in kinds] == [("refused", "retained_command")]


async def test_a_command_published_retained_while_we_listen_is_refused_on_mqtt_5(
    bench: MakeBench, mosquitto: StartMosquitto
) -> None:
    broker = mosquitto()
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client, running(here) as house:
        await client.ask("ping", "R0")
        [answer] = await client.ask("read", "R1", retain=True, plate_barcode="PLT1")
        assert answer["error"] == "retained_command"
        assert house.store.newest(9) == []


async def test_what_is_late_unknown_closed_or_misspelt_is_refused(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    now = datetime.now(UTC)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("read", "verb_disabled", {"plate_barcode": "PLT1"}),
        ("explode", "unknown_verb", {}),
        ("ping", "expired", {"issued": now - timedelta(seconds=60)}),
        ("ping", "expired", {"issued": now - timedelta(seconds=31), "lives_s": 3600}),
        ("ping", "clock_unsynchronised", {"issued": now + timedelta(hours=1)}),
        ("ping", "invalid_payload", {"loudly": True}),
        ("get", "invalid_payload", {}),
        ("get", "run_unknown", {"run_id": "R0"}),
        ("resend", "run_unknown", {"run_id": "R0"}),
        ("replay", "invalid_payload", {"stream": "nothing", "from_": 1, "to": 2}),
        ("ping", "state_mismatch", {"expect": {"state": ["reading"]}}),
        ("ping", "state_mismatch", {"expect": {"rev": 9999}}),
    ]
    async with lims(broker.port) as client, running(here) as house:
        for number, (verb, code, more) in enumerate(cases):
            [answer] = await client.ask(verb, f"R{number}", **more)
            assert (answer["status"], answer["error"], answer["verb"]) == ("rejected", code, verb)
            [repeat] = await client.ask(verb, f"R{number}", **more)
            assert repeat == {**answer, "duplicate": True}
        rev = house.bench.rev
        answers = await client.ask("ping", "fine", expect={"state": ["ready"], "rev": rev})
        assert statuses(answers) == ["accepted", "completed"]
        refused = house.store.outbox.between("event", 1, 99, 99)
        assert [json.loads(row.payload)["data"]["code"] for row in refused] == [
            code for _, code, _ in cases
        ]


async def test_what_cannot_be_read_is_answered_when_somebody_can_be_named(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    async with lims(broker.port) as client, running(here) as house:
        await client.say("cmd/ping", {"requester": "lims", "request_id": "R1", "more": 1})
        [answer] = await client.hear("rsp/lims")
        assert (answer["request_id"], answer["error"]) == ("R1", "invalid_payload")
        await client.say("cmd/ping", b"\xff{", properties=asking_for(f"{ROOT}/rsp/x", b"7"))
        [answer] = await client.hear("rsp/x")
        assert (answer["request_id"], answer["error"]) == (None, "invalid_payload")
        for _ in range(2):  # the same rubbish is journalled once
            await client.say("cmd/ping", b"\xff{")
            await client.say("cmd/read", b'{"requester": "../../x"}')
            await client.say("cmd/get", b"[" * 70_000)
        await client.ask("ping", "fence")
        events = [json.loads(row.payload) for row in house.store.outbox.between("event", 1, 9, 9)]
        assert [(one["data"]["kind"], one["data"]["code"]) for one in events] == [
            ("refused", "invalid_payload"),
            ("refused", "invalid_payload"),
            ("refused", "too_large"),
        ]


async def test_answers_go_where_they_are_asked_for_but_not_out_of_the_room(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    async with lims(broker.port) as client, running(here):
        wanted = asking_for(f"{ROOT}/rsp/lims/7", b"\x00\x07")
        await client.command("ping", "R1", properties=wanted)
        for _ in range(2):
            message = await anext(aiter(client.client.messages))
            while "rsp" not in str(message.topic):
                message = await anext(aiter(client.client.messages))
            assert str(message.topic) == f"{ROOT}/rsp/lims/7"
            assert message.properties is not None
            told = message.properties.json()  # type: ignore[no-untyped-call]
            assert told["CorrelationData"] == "0007"
            assert told["MessageExpiryInterval"] <= 300
        for number, elsewhere in enumerate(
            ["readerd/v1/lab1/bench3/cmd/read", f"{ROOT}/result", f"{ROOT}/rsp/", f"{ROOT}/rspx/y"]
        ):
            await client.command("ping", f"X{number}", properties=asking_for(elsewhere, b"1"))
            answers = await client.hear("rsp/lims", 2)
            assert statuses(answers) == ["accepted", "completed"]


async def test_arming_is_shown_expires_and_gives_the_next_read_its_plate(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client, running(here) as house:
        [answer] = await client.ask("disarm", "R1")
        assert answer["error"] == "not_armed"
        _, armed = await client.ask("arm", "R2", plate_barcode="PLT1")
        assert (house.bench.state, armed["data"]["rev"]) == ("armed", house.bench.rev)
        states = [json.loads(payload) for topic, payload in client.heard if topic == "state"]
        shown = states[-1] if states[-1]["state"] == "armed" else (await client.hear("state"))[0]
        assert (shown["state"], shown["plate_barcode"]) == ("armed", "PLT1")
        [other] = await client.ask("read", "R3", plate_barcode="PLT2")
        assert other["error"] == "plate_mismatch"
        assert statuses(await client.ask("disarm", "R4")) == ["accepted", "completed"]
        assert house.bench.state == "ready"
        await client.ask("arm", "R5", plate_barcode="PLT1", assay="il6-elisa")
        expect = {"state": ["armed"], "rev": house.bench.rev}
        answers = await client.ask("read", "R6", plate_barcode="PLT1", expect=expect)
        assert statuses(answers) == ["accepted", "completed"]
        [bad] = await client.ask("arm", "R7", plate_barcode="no barcode!")
        assert bad["error"] == "barcode_invalid"
        events = [json.loads(row.payload) for row in house.store.outbox.between("event", 1, 99, 99)]
        assert [one["data"]["kind"] for one in events] == [
            "refused", "armed", "refused", "disarmed", "armed", "started", "completed", "refused",
        ]  # fmt: skip


async def test_a_plate_map_from_the_lims_is_bound_to_its_barcode_and_can_be_required(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN, plates='plate_map = "required"')
    samples = [{"position": "U1", "sample_id": "00012", "dilution": 4.0}]
    async with lims(broker.port) as client, running(here) as house:
        [missing] = await client.ask("read", "R1", plate_barcode="PLT1")
        assert missing["error"] == "plate_map_missing"
        for number, (bad, code) in enumerate(
            [
                ([{"position": "Z9", "sample_id": "1"}], "invalid_payload"),
                (samples + samples, "invalid_payload"),
            ]
        ):
            [no] = await client.ask("platemap", f"M{number}", container_id="PLT1", samples=bad)
            assert no["error"] == code
        [no] = await client.ask("platemap", "M3", container_id="PLT1", layout=384, samples=samples)
        assert no["error"] == "format_unsupported"
        _, done = await client.ask("platemap", "M4", container_id="PLT1", samples=samples)
        assert done["data"] == {"samples": 1, "read_before": []}
        _, ended = await client.ask("read", "R2", plate_barcode="PLT1")
        newest = house.store.result(ended["data"]["run_id"])
        assert newest is not None
        data = json.loads(newest.payload)["data"]
        told = {"id": "M4", "version": None, "source": "lims"}
        assert data["plate"]["plate_map"] == told
        [sample] = [one for one in data["samples"] if one["position"] == "U1"]
        assert (sample["sample_id"], sample["dilution"]) == ("00012", 4.0)
        _, late = await client.ask("platemap", "M5", container_id="PLT1", samples=samples)
        run_id = ended["data"]["run_id"]
        assert late["data"]["read_before"] == [run_id]
        done = await asyncio.to_thread(here.ask, "revise", run_id, "--reason", "dilution")
        assert done.stdout == f"revision 2 of run {run_id}, with the plate map M5\n"
        newest = house.store.result(run_id)
        assert newest is not None
        data = json.loads(newest.payload)["data"]
        assert (data["plate"]["plate_map"], data["reason"]) == ({**told, "id": "M5"}, "dilution")


async def test_replay_sends_the_same_bytes_to_the_requester_alone(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client, running(here) as house:
        for number in (1, 2, 3):
            await client.ask("read", f"R{number}", plate_barcode=f"PLT{number}")
        stored = [row.payload for row in house.store.outbox.between("result", 1, 9, 9)]
        stream = house.store.outbox.streams()["result"]
        await client.command("replay", "P1", stream=stream, from_=1, to=99, max=2)
        assert await client.bytes("replay/lims", 2) == stored[:2]
        [completed] = await client.hear("rsp/lims")
        assert completed["data"] == {"sent": 2, "forgotten": 0, "next": 3, "last_sequence": 3}
        _, got = await client.ask("get", "G1", run_id=json.loads(stored[0])["data"]["run"]["id"])
        assert got["data"]["result"] == json.loads(stored[0])
        run_id = json.loads(stored[1])["data"]["run"]["id"]
        await client.command("resend", "S1", run_id=run_id)
        assert await client.bytes("result", 1) == [stored[1]]


async def test_a_read_is_aborted_by_command_and_both_requests_are_answered(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client, running(here, time_scale=1) as house:
        await client.command("read", "R1", plate_barcode="PLT1")
        [accepted] = await client.hear("rsp/lims")
        [busy] = await client.ask("read", "R2", plate_barcode="PLT2")
        assert busy["error"] == "busy"
        await client.command("abort", "A1", run_id=accepted["data"]["run_id"])
        answers = await client.hear("rsp/lims", 3)
        by_request = {(one["request_id"], one["status"]): one for one in answers}
        assert set(by_request) == {("A1", "accepted"), ("R1", "failed"), ("A1", "completed")}
        failed = by_request["R1", "failed"]
        assert (failed["error"], failed["data"]["failure"]) == ("reader_fault", "aborted")
        [run] = house.store.newest(9)
        assert run.state == "failed"
