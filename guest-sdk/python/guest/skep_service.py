"""The main part of a built service: its exports."""

import skep_entry
import skep_turns


class Handler:
    """The export `skep:worker/handler`."""

    def handle(self, input):
        skep_entry.wake()
        return skep_turns.handle(input)


class Lifecycle:
    """The export `skep:worker/lifecycle`."""

    def connected(self, reason):
        skep_entry.wake()
        skep_turns.connected(reason)

    def disconnecting(self):
        skep_turns.disconnecting()


skep_entry.seal()
