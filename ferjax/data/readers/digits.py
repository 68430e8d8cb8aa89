"""Turn decimal numbers between spaces into bytes, with NumPy: the part of reading a csv that would take seconds."""

import threading

import numpy as np
from jaxtyping import UInt8

_SPACE = ord(" ")
_ZERO = ord("0")


class _Scratch(threading.local):
    """Work arrays that stay in a core's cache; allocating them anew costs more page faults than the arithmetic."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def take(self, size: int) -> list[np.ndarray]:
        """Return the seven work arrays, cut to this size."""
        if not self.arrays or len(self.arrays[0]) < size:
            self.arrays = [np.empty(size + size // 4, np.uint8) for _ in range(7)]
        return [array[:size] for array in self.arrays]


_scratch = _Scratch()


def parse_pixels(fields: list[bytes], out: UInt8[np.ndarray, "n pixels"]) -> bool:
    """Fill `out` with one row a field, and say whether each field is exactly `pixels` numbers 0..255.

    Where it says False, `out` is undefined. Only one to three digits a number and only spaces between numbers are read
    here; the caller reads slowly whatever else may be legal.
    """
    # Three leading spaces, so that the three bytes before each byte exist; one trailing, so that the last number ends.
    text = np.frombuffer(b"   " + b" ".join(fields) + b" ", np.uint8)
    digit, is_digit, end, pair, hundreds, value, spare = _scratch.take(len(text))
    n = len(text) - 4

    np.subtract(text, _ZERO, out=digit)  # wraps around below '0', to more than 9
    np.less(digit, 10, out=is_digit.view(bool))
    np.equal(text, _SPACE, out=spare.view(bool))
    if np.count_nonzero(is_digit) + np.count_nonzero(spare) != len(text):
        return False
    np.multiply(digit, is_digit, out=digit)

    # From here position i of an array of length n stands for byte i + 3.
    end, pair, hundreds, value, spare = end[:n], pair[:n], hundreds[:n], value[:n], spare[:n]
    np.greater(is_digit[3:-1], is_digit[4:], out=end.view(bool))
    if not _count_ends(end, fields, out.shape[1]):
        return False
    np.bitwise_and(is_digit[3:-1], is_digit[2:-2], out=pair)
    if np.bitwise_and(pair[2:], pair[:-2], out=spare[2:]).any():
        return False  # four digits in a row
    np.multiply(digit[1:-3], pair, out=hundreds)
    if hundreds.max() > 2:
        return False
    np.multiply(hundreds, 100, out=value)
    np.add(value, np.multiply(digit[2:-2], 10, out=spare), out=value)
    np.add(value, digit[3:-1], out=value)
    # 200..255 stay above 199 in eight bits; 256..299 wrap around to 0..43.
    np.less(value, 200, out=spare.view(bool))
    np.equal(hundreds, 2, out=hundreds.view(bool))
    if np.bitwise_and(hundreds, spare, out=spare).any():
        return False
    np.compress(end.view(bool), value, out=out.reshape(-1))
    return True


def _count_ends(end: UInt8[np.ndarray, " bytes"], fields: list[bytes], pixels: int) -> bool:
    """Return whether every single field has that many numbers: a total would let a long row make up for a short one."""
    start = 0
    for field in fields:
        stop = start + len(field)
        if np.count_nonzero(end[start:stop]) != pixels:
            return False
        start = stop + 1
    return True
