"""What happens right now, for whoever watches: state, progress, ended runs. Nothing is kept."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import BaseModel

# Enough for a 384-well plate told row by row; a watcher that is slower loses the oldest.
QUEUE_LENGTH = 64


@dataclass(frozen=True, slots=True)
class News:
    """One line of the feed: `kind` is state, progress or run; to watchers also end, the last."""

    kind: str
    message: BaseModel


class _Nothing(BaseModel):
    pass


END = News("end", _Nothing())


class Feed:
    """Tells every watcher, in order, without ever waiting for one."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[News]] = set()
        self._listeners: list[Callable[[News], None]] = []

    def tell(self, kind: str, message: BaseModel) -> None:
        news = News(kind, message)
        for listener in self._listeners:
            listener(news)
        self._put(news)

    def end(self) -> None:
        """Let the watchers go: the daemon stops."""
        self._put(END)

    def _put(self, news: News) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news)

    def call(self, listener: Callable[[News], None]) -> None:
        """Call `listener` at once with all that comes; it must not raise or wait."""
        self._listeners.append(listener)

    @contextmanager
    def watch(self) -> Iterator[asyncio.Queue[News]]:
        """A queue with everything told from now on."""
        queue: asyncio.Queue[News] = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
