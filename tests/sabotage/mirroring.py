"""Sabotage of the mirror. Its defences stand behind one another, so a mistake that hurts takes more than one of them.

JetStream refuses what does not follow the last sequence, and the mirror asks the stream where it stands and compares
its ids every two seconds. A mirror that believes its own cursor, and expects nothing, is what relays commonly are. With
nothing but the expectations gone the drill stayed green: what came twice was noticed, and the stream made anew."""

from tests.sabotage.build import Build, Change, Drill

MIRROR, STREAM = "domain/mirror.py", "adapters/nats/stream.py"

BELIEVES_ITSELF = Change(
    MIRROR,
    "        head = await self.ledger.head()\n        if state.last > head",
    "        if self.ledger.mirrored:\n"
    "            return self.ledger.mirrored\n"
    "        head = await self.ledger.head()\n        if state.last > head",
)
NOTHING_EXPECTED = (
    Change(
        STREAM,
        'headers = line.headers | {"Nats-Msg-Id": line.id, "Nats-Expected-Last-Sequence": str(sequence)}\n'
        "            if before is not None:\n",
        "headers = line.headers\n            if sequence < last:\n",
    ),
    Change(STREAM, "        if stored != list(range(last + 1, last + 1 + len(lines))):\n", "        if not stored:\n"),
    Change(STREAM, 'headers(first, 1) | {"Nats-Expected-Last-Sequence": str(last)}', "headers(first, 1)"),
    Change(
        STREAM,
        'if not isinstance(answer, dict) or answer.get("seq") != last + len(lines):',
        "if not isinstance(answer, dict):",
    ),
)
CURSOR_FIRST = (
    Change(MIRROR, "            self._failed += 1  # until it is known to be stored\n", ""),
    Change(
        MIRROR,
        "            await self.bus.publish(lines, self.last)\n",
        "            before, self.last = self.last, lines[-1].position\n"
        "            await self.ledger.reached(self.last)\n"
        "            await self.bus.publish(lines, before)\n",
    ),
)

MIRRORING = (
    Build(
        "cursor before ack",
        "The mirror's cursor moves before the stream has acknowledged: a batch that is lost on its way is never sent "
        "again. Elsewhere harmless, because the mirror asks the stream where it stands, and because the server refuses "
        "what does not follow; here the mirror believes its cursor, and the next batch is taken whatever is before it.",
        (*CURSOR_FIRST, BELIEVES_ITSELF, *NOTHING_EXPECTED),
        Drill(("half-open:nats",), 0.3, seed=2),
        ("the stream = the ledger",),
    ),
    Build(
        "no expected sequence",
        "What was not acknowledged is sent again, from the mirror's own cursor and with no expected sequence: what had "
        "been stored is stored twice, and from there on no position is right.",
        (BELIEVES_ITSELF, *NOTHING_EXPECTED),
        Drill(("freeze:nats",), 0.4, seed=5),
        ("the stream = the ledger",),
    ),
)
