"""The headers of MPEG audio frames: how long each frame is, from its first three bytes (ISO/IEC 11172-3 and 13818-3).

The bits of a header, and what they say of the frame:

    11111111 111VVLLC BBBBRRPX    sync, version, layer, no CRC | bit rate, sample rate, padding, private

    bytes a frame = samples a frame / 8 * bit rate / sample rate + padding      (layer I: in units of 4 bytes)
"""

import functools
from dataclasses import dataclass

_BIT_RATES = {  # kbit/s by bit rate index 1..14, for (is MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz by version bits (3 MPEG 1, 2 MPEG 2, 0 MPEG 2.5) and rate index."""


@dataclass(frozen=True)
class Kind:
    """Version, layer and sample rate of a frame; `steps` gives the length of a frame by its first three bytes."""

    sample_rate: int
    samples: int
    steps: dict[bytes, int]


@functools.cache
def kinds() -> dict[bytes, Kind]:
    """Return the kind of a frame by its first three bytes, for all that are valid."""
    found: dict[bytes, Kind] = {}
    for version, rates in _RATES.items():
        for layer in (1, 2, 3):
            one = version == 3
            samples = 384 if layer == 1 else 1152 if one or layer == 2 else 576
            for rate_index, rate in enumerate(rates):
                kind = Kind(rate, samples, {})
                for bits, kbits in enumerate(_BIT_RATES[one, layer], 1):
                    for padding in (0, 1):
                        slots = samples * kbits * 125 // rate + padding
                        length = 4 * (12_000 * kbits // rate + padding) if layer == 1 else slots
                        for low in (0, 1):  # the bits that say nothing about the length: CRC and private
                            for crc in (0, 1):
                                second = 0xE0 | version << 3 | (4 - layer) << 1 | crc
                                third = bits << 4 | rate_index << 2 | padding << 1 | low
                                kind.steps[bytes((0xFF, second, third))] = length
                for key in kind.steps:
                    found[key] = kind
    return found
