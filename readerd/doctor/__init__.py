"""Is this machine right for this reader? One finding per question, each with what to do.

Rules of the room: a check only looks; what it must do to look (open the port, publish a probe) it
undoes, and it keeps away from an instrument or journal that a daemon is using. A check answers
within its bound and never raises: what it cannot find out is a finding too. `warn` is for what may
be meant so, `fail` for what will hurt; a `fail` says in one line what mends it.
"""
