"""readerd: the open bridge from a microplate reader to a laboratory's information system.

One daemon, one reader, one journal: a plate goes in at one door, its meaning comes out at another,
and at every moment the disk knows how far it got. Start reading at `readerd.daemon`, which wires
the rooms; `readerd.run.runner` is the path of one plate; `drivers/` talk to the instruments.
"""

__version__ = "0.1.0"
