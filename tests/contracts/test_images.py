"""Is an image, made smaller, the image that it was? And what is none, or is a trap?"""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from adapters.tools.images import Images, NoImage, Sized
from adapters.tools.sandbox import TooMuch

SIDES = (32, 100, 400)
IMAGES = Images(SIDES)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CHILD = Path(__file__).parents[2] / "adapters/tools/children/picture.py"
PLACE = 0x8825  # where it was taken
TURNED = 0x112


def picture(mode: str = "RGB", size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    held = BytesIO()
    image.save(held, format, **options)
    return held.getvalue()


async def sized(data: bytes, made: Path, images: Images = IMAGES) -> Sized:
    source = made.with_name("source")
    source.write_bytes(data)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        return await images.sizes(descriptor, made)
    finally:
        os.close(descriptor)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        *(("RGB", one) for one in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP")),
        *(("P", one) for one in ("PNG", "GIF")),
        *(("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("I;16", "PNG")),
    ],
)
async def test_every_kind_of_image_is_made_in_every_size_and_format(mode: str, format: str, made: Path) -> None:
    image = picture(mode) if mode != "I;16" else Image.new("I;16", (200, 100), 40_000)
    found = await sized(saved(image, format), made)
    assert (found.format, found.width, found.height) == (format.lower(), 200, 100)
    assert [one.name for one in found.variants] == [f"{side}.{to}" for side in SIDES for to in ("jpg", "webp", "avif")]
    for one in found.variants:
        with Image.open(made / one.name) as small:
            assert small.size == (one.width, one.height)
            assert max(small.size) == min(int(one.name.partition(".")[0]), 200), "it is not blown up"
            if mode not in ("L", "LA", "1", "I;16"):
                left, right = (small.convert("RGB").getpixel((x, small.height // 2)) for x in (2, small.width - 3))
                assert left[0] > 180 > 90 > left[2] and right[2] > 180 > 90 > right[0], (left, right)  # type: ignore[index]


async def test_it_is_turned_and_forgets_where_it_was_taken_but_not_its_colours(made: Path) -> None:
    exif = Image.Exif()
    exif[TURNED], exif[0x010F] = 6, "the maker of the camera"
    exif.get_ifd(PLACE)[2] = (48.0, 12.0, 0.0)
    data = saved(picture(), "JPEG", exif=exif, icc_profile=PROFILE, quality=95)
    assert b"the maker" in data
    found = await sized(data, made)
    assert (found.width, found.height) == (100, 200)
    for one in found.variants:
        assert b"the maker" not in (made / one.name).read_bytes()
        with Image.open(made / one.name) as small:
            assert small.height > small.width and small.info["icc_profile"] == PROFILE
            assert not small.getexif()
            top = small.convert("RGB").getpixel((small.width // 2, 3))
            assert top[0] > 180 > 90 > top[2], "turned clockwise, red is above"  # type: ignore[index]


async def test_what_one_sees_through_is_white_in_jpeg(made: Path) -> None:
    await sized(saved(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG"), made)
    with Image.open(made / "32.jpg") as small:
        assert small.getpixel((10, 10)) == (255, 255, 255)
    with Image.open(made / "32.webp") as small:
        assert small.mode == "RGBA"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "It is none of"),
        (b"hello", "It is none of"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "It is none of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", "It is none of"),
        (saved(picture(size=(2_000, 2_000)), "JPEG")[:5_000], "cannot be read to its end"),
        (saved(picture(), "PNG")[:-40], "cannot be read to its end"),
        (saved(Image.new("1", (20_000, 20_000)), "PNG"), "20000 x 20000 pixels; the most is 100000000"),
    ],
    ids=["nothing", "text", "svg", "postscript", "a piece of a jpeg", "a piece of a png", "400 megapixels"],
)
async def test_what_cannot_be_shown_is_refused_in_words(data: bytes, words: str, made: Path) -> None:
    with pytest.raises((NoImage, TooMuch), match=words):
        await sized(data, made)
    assert _names(made) == []


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_full_disk_is_no_fault_of_the_image(made: Path) -> None:
    (made / "32.jpg").symlink_to("/dev/full")
    asked = json.dumps({"sides": [32], "most_pixels": 1_000_000})
    argv = [sys.executable, "-I", str(CHILD), asked]
    done = subprocess.run(argv, input=saved(picture(), "PNG"), cwd=made, capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"No space left on device" in done.stderr, "for which the sandbox looks"
