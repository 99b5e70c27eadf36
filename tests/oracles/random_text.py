"""Random strings over much of Unicode, the same as tests/common/random_text.c makes: nothing needs to be stored."""

MASK = (1 << 64) - 1
# First and last character of what is drawn from; earlier rows are drawn more often (see `character`).
RANGES = [
    (0x61, 0x7A), (0x20, 0x20), (0x430, 0x44F), (0x20, 0x7E), (0x41, 0x5A), (0x410, 0x42F), (0x30, 0x39), (0x01, 0x1F),
    (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F),
    (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2460, 0x24FF), (0x2581, 0x2581), (0x3000, 0x30FF),
    (0x3200, 0x33FF), (0x4E00, 0x4EFF), (0xAC00, 0xACFF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1D400, 0x1D4FF),
    (0x1F300, 0x1F64F), (0x20000, 0x200FF),
]


class Random:
    """SplitMix64 (Steele, Lea, Flood 2014)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return ((z ^ z >> 31) >> 33) % n


def character(random):
    first, last = RANGES[random.below(1 + random.below(len(RANGES)))]
    return chr(first + random.below(last - first + 1))


def random_text(number):
    """String `number` (from 0): up to 32 characters, one in eight repeated up to eight times."""
    random = Random(number)
    out = []
    for _ in range(random.below(33)):
        out.append(character(random) * (2 + random.below(7) if random.below(8) == 0 else 1))
    return "".join(out)
