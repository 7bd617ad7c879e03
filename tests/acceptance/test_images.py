"""Are a thousand images at once what each of them is alone? Some of them are broken, and workers are killed."""

import asyncio
import os
import random
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.running import QUICK, Running, up
from tests.waiting import until_told

SIDES = {"POSTCOMMIT_IMAGE_SIDES": "64,256"}
LONG = pytest.param(980, 20, 5, marks=[pytest.mark.long, pytest.mark.timeout(1_200)])


@pytest.mark.parametrize(("good", "broken", "kills"), [(26, 4, 1), LONG])
async def test_a_batch_is_told_in_one_document(tmp_path: Path, good: int, broken: int, kills: int) -> None:
    files = _files(good, broken)
    with up(tmp_path, environ=QUICK | SIDES) as service:
        async with service.client("client", 300) as client:
            answer = await client.post("/v1/images/batch", files=files)
            assert answer.status_code == 202, answer.text
            told = answer.json()
            assert (told["total"], told["open"]) == (good + broken, good + broken)
            for number in range(kills):
                await until_told(lambda n=number: _ended(client, told, (n + 0.3) / kills * good), 600)  # type: ignore[misc]
                os.kill(service.pids("worker")[0], signal.SIGKILL)
            await until_told(lambda: _ended(client, told, good + broken), 900)
            group = (await client.get(told["links"]["self"])).json()
            errors = [one["error"] for one in group["images"] if one["status"] == "failed"]
            counts = {name: group[name] for name in ("complete", "failed", "cancelled", "open")}
            assert counts == {"complete": good, "failed": broken, "cancelled": 0, "open": 0}, errors
            names = {one["image"]: name for one, (_, (name, *_)) in zip(group["images"], files, strict=True)}
            for one in group["images"]:
                assert (one["status"] == "failed") == names[one["image"]].startswith("broken"), one
                assert (one["error"] is not None) == (one["status"] == "failed")
            for one in random.sample([one for one in group["images"] if one["status"] == "complete"], 5):
                shown = (await client.get(f"/v1/images/{one['image']}")).json()
                assert shown["filename"] == names[one["image"]]
                for variant in shown["variants"]:
                    content = (await client.get(variant["href"])).raise_for_status()
                    assert content.headers["content-type"] == variant["media_type"]
                    with Image.open(BytesIO(content.content)) as image:
                        assert image.size == (variant["width"], variant["height"])
        await service.sound(60)
        assert await _left(service) == [], "nothing is left of the uploads"


async def test_what_is_no_form_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with up(tmp_path) as service:
        async with service.client("client") as client:
            before = await service.sql("SELECT count(*) FROM postcommit.events")
            form = {"Content-Type": "multipart/form-data; boundary=x"}
            for content, headers, status in (
                (b"", {"Content-Type": "text/plain"}, 415),
                (b"nonsense", form, 400),
                (b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\nabc", form, 400),
                (b"--x--\r\n", form, 422),
                (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc\r\n--x--\r\n', form, 422),
            ):
                answer = await client.post("/v1/images/batch", content=content, headers=headers)
                assert answer.status_code == status, answer.text
            many = [("a", (f"{number}.jpg", b"x")) for number in range(1_001)]
            answer = await client.post("/v1/images/batch", files=many)
            assert (answer.status_code, answer.json()["detail"]) == (413, "A batch has at most 1000 files.")
            assert await service.sql("SELECT count(*) FROM postcommit.events") == before


def _files(good: int, broken: int) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Of several sizes and formats, each another image, in any order."""
    chance, made = random.Random(7), []
    for number in range(good + broken):
        size = chance.choice([(80, 60), (640, 480), (300, 900), (1_600, 1_200)])
        image = Image.new("RGB", size, tuple(chance.randbytes(3)))  # type: ignore[arg-type]
        format = chance.choice(["JPEG", "PNG", "WEBP"])
        held = BytesIO()
        image.save(held, format)
        data = held.getvalue() if number < good else held.getvalue()[: len(held.getvalue()) // 2]
        name = f"{'image' if number < good else 'broken'}{number}.{format.lower()}"
        made.append(("files", (name, data, f"image/{format.lower()}")))
    chance.shuffle(made)
    return made


async def _ended(client: Any, told: dict[str, Any], most: float) -> bool:
    group = (await client.get(told["links"]["self"])).json()
    await asyncio.sleep(0.2)
    return bool(group["total"] - group["open"] >= most)


async def _left(service: Running) -> list[str]:
    return await asyncio.to_thread(os.listdir, service.home / "files/uploads")
