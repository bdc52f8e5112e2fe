"""What goes wrong on a ledger, and whose fault it is."""


class ChainError(Exception):
    """Base of everything that `chain` raises on purpose."""


class Refused(ChainError):
    """The sender's fault: a rule does not allow this transaction. Nothing changed.

    `reason` is a stable snake_case name (``vote_not_assigned``) that tests and interfaces rely on; `detail`
    adds the offending value for people, e.g. ``"lat_e7 is 502260290, allowed are 180000000 to 202000000"``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class MalformedError(ChainError):
    """The peer's fault: bytes that are not the canonical encoding of what they should be."""


class InvalidBlockError(ChainError):
    """The peer's fault: a block or header that breaks a consensus rule; the message names the rule."""


class StoreError(ChainError):
    """The machine's fault: the store cannot be read, is of another network, or a newer schema."""


class GenesisError(ChainError, ValueError):
    """The founder's fault: a rule that cannot be; the message names the field and its value."""


class InvalidProofError(ChainError):
    """The gateway's fault: an inclusion proof that does not prove what it claims; the message says where it breaks."""
