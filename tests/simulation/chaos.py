"""What strikes while it storms: one blow after the other, each at a moment and of a kind that the seed tells."""

from typing import TYPE_CHECKING

from tests.simulation.bus import Message

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_FROZEN_S = 7.0  # three leases, and longer than a leader may be silent


def strike(world: "World") -> None:
    """One blow."""
    [blow] = world.scene.random.choices(list(BLOWS), list(BLOWS.values()))
    world.scene.note(blow.__name__)
    blow(world)


def kill(world: "World") -> None:
    world.loop.kill(world.any_process())


def die_soon(world: "World") -> None:
    """At any await."""
    world.any_process().dies_in = world.scene.random.randint(1, 300)


def freeze(world: "World") -> None:
    process, seconds = world.any_process(), world.scene.random.random() * MOST_FROZEN_S
    world.loop.freeze(process)
    world.loop.later(seconds, world.loop.thaw, process)


def terminate(world: "World") -> None:
    """SIGTERM: the process leaves in order."""
    process = world.any_process()
    for stop in list(process.signals.values())[:1]:
        world.loop.call_soon(stop, context=process.context)


def restart_postgres(world: "World") -> None:
    world.postgres.stop()
    world.loop.later(world.scene.random.random() * 2, world.postgres.start)


def stop_nats(world: "World") -> None:
    world.bus.up = False
    if (stream := world.bus.stream) is not None:
        stream.restart()
    world.loop.later(world.scene.random.random() * 6, setattr, world.bus, "up", True)


def wipe(world: "World") -> None:
    world.bus.stream = None


def truncate(world: "World") -> None:
    """The server was killed, and had not synced."""
    if (stream := world.bus.stream) is not None:
        stream.truncate(max(stream.last - world.scene.random.randint(1, 6), stream.first - 1))
        stop_nats(world)


def purge(world: "World") -> None:
    if (stream := world.bus.stream) is not None:
        stream.purge(world.scene.random.randint(stream.first, stream.last + 1))


def hole(world: "World") -> None:
    """Somebody deletes a message."""
    if (stream := world.bus.stream) is not None and stream.messages:
        del stream.messages[world.scene.random.choice(list(stream.messages))]


def forge(world: "World") -> None:
    """Somebody who may not publishes into the stream: about a task that there is, or about none."""
    id = world.scene.random.choice([*(intent.id for intent in world.intents), world.clock.new_id()])
    world.bus.store(Message(f"forged-{id}", f"tasks.v1.default.probe.queued.{id}", 0))


def forget_durable(world: "World") -> None:
    if world.bus.stream is not None:
        world.bus.stream.durables.clear()


def ring_falsely(world: "World") -> None:
    """Bells for tasks that wait, run, have ended, or never were."""
    ids = [str(intent.id) for intent in world.intents] + [str(world.clock.new_id())]
    told = '["' + '","'.join(world.scene.random.sample(ids, len(ids) // 2)) + '"]'
    world.board.ring("bells.v1.queue.default", told.encode())
    world.board.ring("bells.v1.queue.default", b"[no bell")


def move_clock(world: "World") -> None:
    """The database's clock jumps."""
    world.postgres.jumped_s += world.scene.random.choice([-30.0, 30.0, 4.0])


BLOWS = {
    kill: 2,
    die_soon: 4,
    freeze: 3,
    terminate: 1,
    restart_postgres: 1,
    stop_nats: 2,
    wipe: 2,
    truncate: 1,
    purge: 1,
    hole: 1,
    forge: 2,
    forget_durable: 1,
    ring_falsely: 2,
    move_clock: 1,
}  # how often each, beside the others
