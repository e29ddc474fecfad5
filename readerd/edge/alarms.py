"""The standing conditions by their codes; docs/reference/messages.md says what each means."""

from typing import Final

# A daemon that was killed leaves its alarms on the broker: whoever comes next takes those away that
# do not stand any more, and must therefore know them all.
ALARMS: Final = (
    "publish-refused",
    "subscribe-refused",
    "duplicate-client-id",
    "payload-too-large",
    "store-full",
    "reader-needs-human",
    "scanner-lost",
    "button-lost",
)
