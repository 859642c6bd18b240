"""CRC-32C, the checksum in the event files of TensorBoard, of many records at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, with its bits reversed
MASK = 0xA282EAD8


@cache
def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


def masked_crc32c(records: Sequence[bytes]) -> np.ndarray:
    """The masked checksum of records, as TensorFlow's record files hold it.

    Records of one length are done together, byte by byte.

    Args:
        records: any bytes.

    Returns:
        a checksum each, ``uint32``.

    >>> [hex(c) for c in masked_crc32c([b"123456789", b""])]
    ['0xc78ab0e5', '0xa282ead8']
    """
    lengths = np.array([len(r) for r in records], dtype=np.int64)
    found = np.zeros(len(records), dtype=np.uint32)
    for length in np.unique(lengths):
        index = np.flatnonzero(lengths == length)
        data = np.frombuffer(b"".join(records[i] for i in index.tolist()), dtype=np.uint8).reshape(len(index), length)
        found[index] = _crc(data)
    rotated = (found >> np.uint32(15)) | (found << np.uint32(17))
    return rotated + np.uint32(MASK)


def _crc(rows: np.ndarray) -> np.ndarray:
    """CRC-32C of every row of bytes."""
    table, crc = _table(), np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = table[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)
