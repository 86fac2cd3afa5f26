"""Pictures drawn on the spot: landscapes and patterns."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Size = tuple[int, int]

_GREENS: list[Colour] = [(124, 168, 140), (74, 128, 102), (36, 84, 66), (16, 46, 38)]
_WARM: list[Colour] = [
    (229, 99, 74),
    (244, 176, 84),
    (28, 84, 96),
    (120, 178, 168),
    (243, 233, 214),
]
_BLUES: list[Colour] = [(16, 62, 92), (30, 96, 128), (70, 146, 168), (240, 236, 222)]


def _saved(picture: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=88)
    return buffer.getvalue()


def _smooth(picture: Image.Image) -> bytes:
    """Return a picture at half its size, which rounds off its corners."""
    width, height = picture.size
    return _saved(picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS))


def _sky(size: Size, top: Colour, bottom: Colour) -> Image.Image:
    """Return a vertical gradient."""
    column = Image.new("RGB", (1, size[1]))
    for y in range(size[1]):
        column.putpixel((0, y), _between(top, bottom, y / size[1]))
    return column.resize(size)


def _between(start: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
    return red, green, blue


# landscapes


def dunes() -> bytes:
    """Return a picture of dunes at sunset."""
    width, height = size = (1200, 900)
    picture = _sky(size, (88, 60, 128), (255, 178, 110))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((700, 300, 900, 500), fill=(255, 232, 178))
    for layer, colour in enumerate([(214, 120, 82), (176, 84, 70), (122, 54, 64), (66, 32, 52)]):
        base = 480 + layer * 105
        ridge = [
            (x, base + 46 * math.sin(x / (210 - 20 * layer) + layer * 1.9) + 18 * math.sin(x / 83))
            for x in range(0, width + 10, 10)
        ]
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)
    return _saved(picture)


def northern_lights() -> bytes:
    """Return a picture of green light over black hills."""
    width, height = size = (1200, 900)
    picture = _sky(size, (6, 10, 32), (20, 48, 74))
    light = Image.new("RGB", size)
    draw = ImageDraw.Draw(light)
    for band, colour in enumerate([(40, 220, 140), (70, 150, 220), (150, 80, 200)]):
        for x in range(0, width, 6):
            foot = 520 - band * 70 + 80 * math.sin(x / 170 + band) + 26 * math.sin(x / 47)
            reach = 200 + 90 * math.sin(x / 61 + band * 2)
            draw.line((x, foot - reach, x, foot), fill=colour, width=4)
    light = light.filter(ImageFilter.GaussianBlur(22))
    picture = Image.blend(picture, light, 0.55)
    draw = ImageDraw.Draw(picture)
    for star in range(140):
        x, y = star * 977 % width, star * 613 % 420
        draw.point((x, y), fill=(240, 240, 255))
    hills = [(x, 760 + 60 * math.sin(x / 190) + 20 * math.sin(x / 41)) for x in range(0, 1210, 10)]
    draw.polygon([(0, height), *hills, (width, height)], fill=(5, 9, 16))
    return _saved(picture)


def mountains() -> bytes:
    """Return a picture of ridges that fade into morning mist."""
    width, height = size = (1600, 1200)
    picture = _sky(size, (150, 190, 214), (250, 226, 206))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((360, 210, 520, 370), fill=(255, 246, 226))
    for layer in range(5):
        chance = random.Random(layer * 7 + 3)
        base, rough = 480 + layer * 150, 230 - layer * 34
        ridge = [
            (x, base - rough * chance.random()) for x in range(-80, width + 240, 160 - layer * 16)
        ]
        colour = _between((164, 186, 202), (32, 60, 84), layer / 4)
        draw.polygon([(-80, height), *ridge, (width + 240, height)], fill=colour)
    return _smooth(picture)


def moonlit_sea() -> bytes:
    """Return a picture, taller than wide, of the moon and its way across the water."""
    width, height = size = (1200, 1600)
    picture = _sky(size, (14, 18, 48), (78, 92, 148))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((430, 330, 770, 670), fill=(250, 240, 212))
    sea = _sky((width, 640), (40, 56, 104), (8, 12, 34))
    picture.paste(sea, (0, 960))
    chance = random.Random(11)
    for y in range(980, height, 22):
        reach = 60 + (y - 960) * 0.45
        for _ in range(3):
            middle = 600 + chance.uniform(-reach, reach)
            half = chance.uniform(20, 50 + (y - 960) * 0.14)
            glow = _between((250, 240, 212), (70, 84, 140), (y - 960) / 700)
            draw.rounded_rectangle((middle - half, y, middle + half, y + 8), 4, fill=glow)
    return _smooth(picture)


def forest() -> bytes:
    """Return a picture of firs, row behind row."""
    width, height = size = (1600, 1066)
    picture = _sky(size, (232, 240, 226), (178, 208, 190))
    draw = ImageDraw.Draw(picture)
    for layer, colour in enumerate(_GREENS):
        chance = random.Random(layer + 20)
        foot, tall = 560 + layer * 150, 240 + layer * 70
        x = -60.0
        while x < width + 120:
            for x0, top, half in _fir(x, foot - tall * chance.uniform(0.7, 1.1), foot):
                draw.polygon(
                    [(x0, top), (x0 - half, top + half * 2), (x0 + half, top + half * 2)],
                    fill=colour,
                )
            x += chance.uniform(60, 110) + layer * 14
        draw.rectangle((0, foot - 40, width, height), fill=colour)
    return _smooth(picture)


def _fir(x: float, top: float, foot: float) -> Iterator[tuple[float, float, float]]:
    """Yield a fir's tiers: the middle, the tip, half the width."""
    tall = foot - top
    for tier in range(4):
        yield x, top + tall * tier * 0.19, tall * (0.13 + 0.05 * tier)


def city() -> bytes:
    """Return a picture of a city at dusk, some windows lit."""
    width, height = size = (1600, 1066)
    picture = _sky(size, (52, 48, 98), (248, 156, 122))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((1050, 420, 1290, 660), fill=(255, 214, 160))
    chance = random.Random(5)
    for layer, colour in enumerate([(146, 92, 118), (88, 58, 96), (34, 28, 58)]):
        x = -20
        while x < width:
            wide, top = chance.randrange(80, 170), chance.randrange(330, 640) + layer * 120
            draw.rectangle((x, top, x + wide, height), fill=colour)
            if layer == 2:
                for left in range(x + 14, x + wide - 20, 26):
                    for y in range(top + 20, height, 40):
                        if chance.random() < 0.42:
                            draw.rectangle((left, y, left + 11, y + 17), fill=(255, 210, 128))
            x += wide + chance.randrange(-10, 24)
    return _smooth(picture)


# patterns


def tiles() -> bytes:
    """Return a pattern of quarter circles."""
    chance, side = random.Random(8), 250
    picture = Image.new("RGB", (2000, 2000), _WARM[4])
    draw = ImageDraw.Draw(picture)
    for left in range(0, 2000, side):
        for top in range(0, 2000, side):
            ground, shape = chance.sample(_WARM, 2)
            draw.rectangle((left, top, left + side, top + side), fill=ground)
            x, y = left + side * chance.randrange(2), top + side * chance.randrange(2)
            # a circle around a corner, of which the tile shows a quarter
            tile = Image.new("L", (side, side))
            inner = ImageDraw.Draw(tile)
            for radius, level in ((side, 255), (side // 2, 0)):
                box = (x - left - radius, y - top - radius, x - left + radius, y - top + radius)
                inner.ellipse(box, fill=level)
            picture.paste(shape, (left, top), tile)
    return _smooth(picture)


def waves() -> bytes:
    """Return a pattern of waves, as on Japanese cloth."""
    width, height, radius = 2000, 1333, 134
    picture = Image.new("RGB", (width, height), _BLUES[0])
    draw = ImageDraw.Draw(picture)
    for row, y in enumerate(range(0, height + radius * 2, radius // 2)):
        for x in range(-radius if row % 2 else 0, width + radius * 2, radius * 2):
            for ring, share in enumerate((1.0, 0.9, 0.68, 0.58, 0.36, 0.26)):
                reach = radius * share
                colour = _BLUES[3] if ring % 2 == 0 else _BLUES[(row + ring) % 3]
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    return _smooth(picture)


def triangles() -> bytes:
    """Return a pattern, taller than wide, of triangles from dawn to night."""
    width, height, side = 1200, 1600, 200
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    chance = random.Random(2)
    for top in range(0, height, side):
        for left in range(0, width, side):
            corners = [
                (left, top),
                (left + side, top),
                (left + side, top + side),
                (left, top + side),
            ]
            turn = chance.randrange(4)
            corners = corners[turn:] + corners[:turn]
            for half in (corners[:3], [corners[2], corners[3], corners[0]]):
                share = min(1.0, max(0.0, top / height + chance.uniform(-0.14, 0.22)))
                draw.polygon(half, fill=_between((252, 196, 140), (58, 40, 96), share))
    return _smooth(picture)


def rings() -> bytes:
    """Return a pattern of rings around four places."""
    picture = Image.new("RGB", (2000, 1500), (243, 233, 214))
    draw = ImageDraw.Draw(picture)
    for x, y, shift in ((520, 420, 0), (1560, 300, 1), (1240, 1180, 2), (260, 1320, 3)):
        for number, radius in enumerate(range(560, 0, -70)):
            colour = _WARM[(number + shift) % len(_WARM)]
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return _smooth(picture)


def emblem() -> bytes:
    """Return a picture with a transparent ground: three stacked disks."""
    picture = Image.new("RGBA", (800, 800))
    draw = ImageDraw.Draw(picture)
    for level, colour in enumerate([(18, 94, 84), (26, 138, 120), (64, 190, 160)]):
        top = 500 - level * 170
        draw.ellipse((120, top + 70, 680, top + 230), fill=(*colour, 255))
        draw.rectangle((120, top + 80, 680, top + 150), fill=(*colour, 255))
        draw.ellipse((120, top, 680, top + 160), fill=(*(min(255, c + 40) for c in colour), 255))
    return _saved(picture.resize((400, 400)), "PNG")


def poster() -> bytes:
    """Return a PDF of one page with a picture."""
    page = Image.new("RGB", (620, 877), (250, 247, 240))
    page.paste(Image.open(io.BytesIO(tiles())).resize((500, 500)), (60, 60))
    draw = ImageDraw.Draw(page)
    for row, wide in enumerate((500, 460, 480, 220)):
        draw.rectangle((60, 620 + row * 34, 60 + wide, 632 + row * 34), fill=(190, 184, 172))
    return _saved(page, "PDF")
