"""Which ids a load has not met yet: those need no look-up of what they replace."""

BITS_PER_ID = 16
BITS_MIN, BITS_MAX = 1 << 16, 1 << 26


class MetIds:
    """One bit per id, by its hash. An id may look as if it had been met; one that was met never looks new."""

    def __init__(self, most: int) -> None:
        """For so many ids at most, or so: 2 bytes each, 8 MiB in all at most."""
        bits = min(max(BITS_MIN, most * BITS_PER_ID), BITS_MAX)
        self._mask = (1 << (bits - 1).bit_length()) - 1
        self._bits = bytearray((self._mask + 1) // 8)

    def meet(self, message_id: str) -> bool:
        """Meet an id; whether it may have been met before."""
        place = hash(message_id) & self._mask
        bit = 1 << (place & 7)
        if self._bits[place >> 3] & bit:
            return True
        self._bits[place >> 3] |= bit
        return False
