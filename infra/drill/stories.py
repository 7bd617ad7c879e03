"""What the load asks for, and what is to come of it: known before anything is sent."""

import random
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from PIL import Image

from infra.drill.intents import Intent

CHAIN = ("email_order_confirmation", "warehouse_notify", "analytics_record")
PRICE_CENTS = 100
LAMP = {"name": "Lamp", "price_cents": PRICE_CENTS, "currency": "EUR"}

THINGS = {"image": "/v1/images", "video": "/v1/videos", "report": "/v1/reports", "upload": "/v1/uploads"}
"""What must be complete at the end, and where it is asked for."""
MADE = {
    "account": ("account", "account.registered"),
    "item": ("item", "item.created"),
    "order": ("order", "order.created"),
    "confirm": ("order", "order.confirmed"),
    "image": ("image", "image.created"),
    "video": ("video", "video.created"),
    "report": ("report", "report.requested"),
    "upload": ("upload", "upload.begun"),
}
"""Story -> the category of the stream and the fact in it that its answer stands for."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The one outcome of a task: its end, and what of its result is known."""

    kind: str
    end: str = "completed"
    result: Callable[[Mapping[str, Any]], bool] = lambda _: True


def probe(number: int, chance: random.Random) -> dict[str, Any]:
    """One of several lives: at once, slow, after failures, refused, or of bytes that are none of a probe's."""
    request: dict[str, Any] = {"payload": {"drill": number}}
    match chance.choices(("plain", "slow", "fails", "refused"), (70, 15, 10, 5))[0]:
        case "slow":
            request["work_s"] = round(chance.uniform(0.5, 4.0), 2)
        case "fails":
            request["fail_first"] = chance.choice((1, 2))
        case "refused":
            request["refuse"] = True
    return {"kind": "probe", "request": request}


def of_probe(body: Mapping[str, Any]) -> Expected:
    request = body["request"]
    if request.get("refuse"):
        return Expected("probe", "failed")
    least = request.get("fail_first", 0) + 1

    def right(result: Mapping[str, Any]) -> bool:
        return bool(result["payload"] == request["payload"] and result["attempt"] >= least)

    return Expected("probe", result=right)


def account(number: int) -> dict[str, Any]:
    return {"email": f"drill-{number}@example.com", "name": f"Drill {number}"}


def expected(story: str, body: Any) -> tuple[Expected, ...]:
    """Of the tasks that the answer to such a request names, in their order."""
    match story:
        case "probe":
            return (of_probe(body),)
        case "account":
            return (Expected("email_welcome", result=lambda result: bool(result["message_id"])),)
        case "confirm":
            return (
                Expected(CHAIN[0], result=lambda result: bool(result["message_id"])),
                Expected(CHAIN[1], result=lambda result: result["status"] == 204),
                Expected(CHAIN[2], result=lambda result: result["total_cents"] == PRICE_CENTS),
            )
        case "image":
            named = sha256(image(body["image"])).hexdigest()
            return (Expected("image_sizes", result=lambda result: bool(result["source"] == named)),)
        case "video":
            return (Expected("video_probe"),)
        case "report":
            return (Expected("report_plan"),)
        case "search":
            return (Expected("search_rebuild", result=lambda result: result["differences"] == 0),)
        case "poison" | "item" | "order" | "upload":
            return ()
    raise AssertionError(f"Nobody tells the story {story}.")


def buyer_of(intent: Intent) -> str:
    """The id of the account that an order is for."""
    return str(intent.body["account"])


def order_of(intent: Intent) -> str:
    """The id of the order that is confirmed."""
    return intent.path.split("/")[3]


def image(number: int) -> bytes:
    """One of its own for each number."""
    held = BytesIO()
    Image.new("RGB", (200, 120), (number % 256, number // 256 % 256, number // 65_536 % 256)).save(held, "PNG")
    return held.getvalue()


def video(number: int, clip: bytes) -> bytes:
    """The same film in other bytes: behind it an empty box (ISO 14496-12) with the number."""
    return clip + struct.pack(">I4sQ", 16, b"free", number)


def clip(path: Path) -> bytes:
    """Two seconds of colours that move, and a tone."""
    picture = ("-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
    coded = ("-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac")
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coded, str(path)]
    subprocess.run(argv, check=True)
    return path.read_bytes()


def poison(number: int, chance: random.Random) -> dict[str, Any]:
    """What must be refused with a 4xx."""
    return chance.choice(
        [
            {"kind": "probe", "request": {"work_s": -1, "payload": number}},
            {"kind": "no.such.kind", "request": {}},
            {"kind": "probe", "request": {"payload": "\u0000" * 3, "no_such": number}},
            {"kind": "probe", "request": {"fail_first": "many"}},
        ]
    )
