"""One answer on the terminal. Imported only where one is shown: rich is heavy."""

import click
from rich.console import Console, RenderableType

from readerd.view.terminal_text import Portable


def to_screen(*parts: RenderableType) -> None:
    """Print them; text is text: no markup, no emoji in a sample's name or a unit (`[IU]/mL`).

    BrokenPipeError when nobody reads any more, as every other verb has it.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    with console.capture() as printed:
        for part in parts:
            console.print(Portable(part), soft_wrap=isinstance(part, str))
    click.echo(printed.get(), nl=False)
