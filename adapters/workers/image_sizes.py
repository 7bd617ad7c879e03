"""Makes the sizes of an image, in every format."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from adapters.tools.images import Images, NoImage
from adapters.tools.shelf import Shelf
from adapters.workers.children import told
from domain import image
from domain.file import File
from domain.image import Image, Sizes, Variant
from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused

Read = Callable[[UUID], Awaitable[Image]]


def image_sizes(read: Read, shelf: Shelf, images: Images) -> Work:
    """The worker with its tools."""

    async def work(request: image.Request, job: Job) -> Outcome:
        found = await read(request.image)
        if found.created is None or found.deleted_at is not None:
            return Refused(error=Error(type="no_image", detail=f"There is no image {request.image}."))
        source = found.created.source

        async def make() -> Outcome:
            operation = image.operation(images.sides)
            if (made := await shelf.made(source.sha256, operation)) is not None:
                return Done(result=made)
            try:
                return Done(result=await _made(shelf, images, source, operation, job))
            except NoImage as error:
                return Refused(error=Error(type="not_an_image", detail=str(error)))

        return await told(make)

    return work


async def _made(shelf: Shelf, images: Images, source: File, operation: str, job: Job) -> Sizes:
    async with shelf.source(source, lasts=False) as opened, shelf.bench(job.id) as bench:
        sized = await images.sizes(opened(), bench.made)
        kept = await shelf.keep(*(bench.made / one.name for one in sized.variants))
    variants = [
        Variant(**msgspec.structs.asdict(one), file=file) for one, file in zip(sized.variants, kept, strict=True)
    ]
    files = {one.file.sha256: one.file for one in variants}
    return Sizes(
        source=source.sha256,
        operation=operation,
        files=tuple(files.values()),
        format=sized.format,
        width=sized.width,
        height=sized.height,
        variants=tuple(variants),
    )
