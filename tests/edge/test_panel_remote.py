"""A wireless button that tells its last press again, also to a daemon that was started anew."""

from pathlib import Path

from tests.edge.panel_scene import MQTT, Desk, play

PRESS = '{"event": "S", "event_cnt": 7}'


def test_an_event_that_is_told_again_after_a_restart_reads_nothing(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.scan("PLT1")
        desk.remote(PRESS)
        await desk.read()
        desk.remote(PRESS)
        assert desk.runs() == [("done", "PLT1")]

    async def after(desk: Desk) -> None:
        await desk.scan("PLT2")
        desk.remote(PRESS)
        await desk.read()
        assert desk.runs() == [("done", "PLT1")]
        assert desk.shines("amber", "armed")
        desk.remote(PRESS.replace("7", "8"))
        await desk.read()
        assert desk.runs() == [("done", "PLT1"), ("done", "PLT2")]

    play(tmp_path, MQTT, before, after)
