"""Makes the sizes of one image. It stands alone: run in the sandbox.

    python -I picture.py '{"sides": [160], …}' < image      writes 160.jpg, … here; prints what it made as JSON,
                                                            or {"refused": "…"}

The image is turned as its metadata says, and what stands in the metadata is dropped, but for the colour profile."""

import json
import os
import sys
from io import BytesIO
from typing import Any

ORIENTATION, LYING = 0x112, 5  # in the metadata: from 5 on width and height change places
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
WRITTEN: dict[str, tuple[str, str, dict[str, Any]]] = {  # suffix: format, media type, options
    "jpg": ("JPEG", "image/jpeg", {"quality": 82, "optimize": True, "progressive": True}),
    "webp": ("WEBP", "image/webp", {"quality": 80, "method": 4}),
    "avif": ("AVIF", "image/avif", {"quality": 60, "speed": 8, "max_threads": 1}),
}


class Refused(Exception):
    """It is no image that can be taken; the message is a full sentence."""


def main(told: str) -> None:
    asked = json.loads(told)
    try:
        made = sizes(asked)
    except Refused as error:
        made = {"refused": str(error)}
    print(json.dumps(made))


def sizes(asked: Any) -> Any:
    from PIL import Image, ImageFile, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the bound is ours, below
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(sys.stdin.buffer, formats=FORMATS) as image:
            return _made(image, asked)
    except UnidentifiedImageError:
        raise Refused(f"It is none of {', '.join(FORMATS)}.") from None
    except (OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's: no fault of the image
            raise
        raise Refused(f"It cannot be read to its end: {error}.") from None


def _made(image: Any, asked: Any) -> Any:
    from PIL import ImageOps

    width, height = image.size
    if width * height > asked["most_pixels"]:
        raise Refused(f"It has {width} x {height} pixels; the most is {asked['most_pixels']}.")
    if image.getexif().get(ORIENTATION, 1) >= LYING:
        width, height = height, width
    largest, format = max(asked["sides"]), image.format.lower()
    image.draft("RGB", (2 * largest, 2 * largest))  # a JPEG can be read at a half, a quarter, an eighth of its size
    image.load()
    shown, profile = _plain(ImageOps.exif_transpose(image))
    made: list[Any] = []
    whole = ""  # of what it is in its own size, so that no size is made twice
    for side in sorted(set(asked["sides"])):
        one = shown.copy()
        one.thumbnail((side, side), reducing_gap=3.0)
        for suffix, (name, media_type, options) in WRITTEN.items():
            path = f"{side}.{suffix}"
            if whole:
                os.link(f"{whole}.{suffix}", path)
            else:
                (_flat(one) if suffix == "jpg" else one).save(path, name, icc_profile=profile, exif=b"", **options)
            made.append({"name": path, "media_type": media_type, "width": one.width, "height": one.height})
        whole = whole or (str(side) if side >= max(shown.size) else "")
    return {"format": format, "width": width, "height": height, "variants": made}


def _plain(image: Any) -> tuple[Any, bytes | None]:
    """In colours that every format can hold, and the profile that says which they are."""
    profile = image.info.get("icc_profile")
    if image.mode in ("RGB", "RGBA", "L"):
        return image, profile
    if image.mode == "CMYK":
        return _on_screen(image, profile), None
    if image.mode in ("LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA"), profile
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return image.point(lambda value: value / 256).convert("L"), None
    return image.convert("RGB"), profile


def _on_screen(image: Any, profile: bytes | None) -> Any:
    """Colours of ink as those of light."""
    from PIL import ImageCms

    if profile:
        try:
            screen = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(BytesIO(profile)), screen, outputMode="RGB"
            )
        except ImageCms.PyCMSError:  # its profile is broken: it is shown without
            pass
    return image.convert("RGB")


def _flat(image: Any) -> Any:
    """On white, where one could see through it."""
    from PIL import Image

    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


if __name__ == "__main__":
    main(sys.argv[1])
