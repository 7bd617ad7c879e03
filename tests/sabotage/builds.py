"""The sabotage builds. Each is a mistake that programs of this sort are known to make."""

from tests.sabotage.build import Build, Change, Drill, Matrix
from tests.sabotage.mirroring import MIRRORING
from tests.sabotage.telling import TELLING

RELAY, WORKER, CREW = "infra/roles/relay.py", "infra/roles/worker.py", "infra/roles/crew.py"
LOG = "adapters/postgres/log.py"
SQL, READERS = "adapters/postgres/sql", "adapters/postgres/readers.py"

EARLY_ACK = Build(
    "ack before commit",
    "The worker acknowledges a message, and then claims its task. That alone loses nothing: a bell beside the stream "
    "names the task to every worker, an idle one looks into the table, and the lifeline rings for what was delivered "
    "and not taken. It hurts a worker as others are, which knows of work by the messages of the stream only.",
    (
        Change(
            CREW,
            "        kinds, now = list(runs.workers), runs.clock.now()\n",
            "        kinds, now = list(runs.workers), runs.clock.now()\n"
            "        if early := [*done, *(bell for bells in taken.values() for bell in bells)]:\n"
            "            await self._acknowledge(early)\n",
        ),
        Change(
            CREW,
            "        if done := [*done, *(bell for bells in taken.values() for bell in bells)]:\n"
            "            await self._acknowledge(done)\n",
            "",
        ),
        Change(
            "adapters/nats/fetch.py",
            "for bell in bells]))\n",
            "for bell in bells]))\n    await client.flush()\n",
        ),
        Change(
            WORKER,
            "            link.on_bell(queue_bell(queue), lambda payload: crew.overhear(ids_of(payload)))\n",
            "            pass\n",
        ),
        Change(WORKER, "        *(crew.poll_loop() for crew in crews),\n", ""),
    ),
    Matrix(("to be claimed",)),
    ("is queued",),
)

REJECT = Build(
    "reject on error",
    "FastStream's own way: a handler that raises rejects its message for good. Of the bell alone that loses nothing, "
    "because the row of the task decides. It hurts where it decides on the work: what raised is never tried again.",
    (
        Change(
            "infra/roles/attempt.py",
            "return Stumbled(error=_stored(Error(type=type(error)",
            "return Refused(error=_stored(Error(type=type(error)",
        ),
    ),
    Drill(("answer-lost:smtp",), 0.2),
    ("wrong_result: ",),
)

ID_CURSOR = Build(
    "id cursor",
    "The relay goes on behind the highest number that it has seen: a transaction that took its number before, and "
    "commits after, is skipped. A new leader looks from the beginning, so no fault may change the leader.",
    (
        Change(
            "adapters/postgres/leadership.py",
            "            self._beyond.update(moved)\n",
            "            self._low = max(moved, default=self._low)\n",
        ),
    ),
    Drill(("kill:worker", "cut:smtp"), 0.25),
    ("stuck: ", "lost: ", "the outbox is young"),
)

OUTBOX_APART = Build(
    "outbox row apart",
    "The API commits the facts, answers, and writes the duty to announce them in a second transaction: a crash between "
    "leaves facts that nobody ever numbers.",
    (
        Change(
            f"{SQL}/append_entries.sql",
            "    JOIN unnest($11::uuid[]) WITH ORDINALITY AS f (id, nth) USING (id)\n",
            "    JOIN unnest($11::uuid[]) WITH ORDINALITY AS f (id, nth) USING (id)\n"
            "    WHERE current_setting('application_name') <> 'postcommit api'\n",
        ),
        Change(
            LOG,
            "            await self._append(entry)\n        except Full as error:\n",
            "            await self._append(entry)\n"
            '            if self._database.name == "postcommit api":\n'
            "                self._announcing.add(asyncio.create_task(self._announce(entry)))\n"
            "        except Full as error:\n",
        ),
        Change(
            LOG,
            "    async def drain(self) -> None:\n",
            "    _announcing: set[asyncio.Task[None]] = set()\n"
            "\n"
            "    async def _announce(self, entry: Entry) -> None:\n"
            "        ids = [fact.id for fact in _without_changed(entry).facts]\n"
            "        async with self._database.driver() as connection:\n"
            '            query = "INSERT INTO postcommit.outbox (event) SELECT unnest($1::uuid[])"\n'
            "            await connection.execute(query, ids)\n"
            "\n"
            "    async def drain(self) -> None:\n",
        ),
    ),
    Matrix(("committed, not answered",)),
    ("every fact is in the ledger or has its duty in the outbox",),
)

CURSOR_APART = Build(
    "cursor apart",
    "A reader commits what it has applied, and its cursor in a second transaction, before its next step: a crash "
    "between applies the same facts again. Readers that put rows in their place bear that; those that count do not.",
    (
        Change(
            READERS,
            "    apply = apply or _folding(FOLDS[name])\n",
            "    apply = apply or _folding(FOLDS[name])\n"
            "    if name in _APPLIED:\n"
            "        async with database.core() as connection:\n"
            "            values = {'position': _APPLIED.pop(name), 'at': func.clock_timestamp()}\n"
            "            await connection.execute(cursors.update().where(cursors.c.name == name).values(values))\n",
        ),
        Change(
            READERS,
            "        moved = cursors.update().where(cursors.c.name == self.name)\n"
            "        await self.connection.execute(moved.values(position=position, at=func.clock_timestamp()))\n",
            "        _APPLIED[self.name] = position\n",
        ),
        Change(
            READERS,
            "MOST = 500  # facts of one step\n",
            "MOST = 500  # facts of one step\n_APPLIED: dict[str, int] = {}\n",
        ),
    ),
    Drill(("kill:reader",), 0.2),
    ("analytics = fold of the log", "the balance has difference 0"),
)

NO_TURN = Build(
    "no turn check",
    "What a worker tells of a task is written, whoever holds the task by now: the end that a zombie tells counts, and "
    "the row forgets that the task was lost in between. A second end the table itself refuses (outcomes_stand). "
    "Another worker must be at it when the zombie wakes: this seed freezes for 6 to 9 s six times, a lease is 5 s.",
    (
        Change(
            f"{SQL}/settle_tasks.sql",
            "          AND (w.turn IS NULL OR (status = 'in_progress' AND turn = w.turn))\n",
            "",
        ),
    ),
    Drill(("freeze:worker",), 1.5, seed=73),
    ("second_visible_result: ", "row = fold of its stream"),
)

NOT_SYNCED = Build(
    "commit not synced",
    "Postgres answers before a commit is on the disk. A role refuses to start on such a server; here it does not ask.",
    (
        Change("infra/embedded/postgres.py", "synchronous_commit = on\n", "synchronous_commit = off\n"),
        Change(
            "adapters/postgres/database.py",
            '("fsync", "full_page_writes", "synchronous_commit")',
            '("fsync", "full_page_writes")',
        ),
    ),
    Drill(("power-cut:all",), 0.7),
    ("lost: ", "log_told_otherwise: "),
)

NO_LIFELINE = Build(
    "no lifeline",
    "Nobody queues again what has lost its worker.",
    (Change(RELAY, "            self._lifeline(ledger).run(),\n", ""),),
    Matrix(("notice posted",)),
    ("warehouse_notify is in_progress",),
)

BUILDS = (
    *(EARLY_ACK, REJECT, ID_CURSOR, OUTBOX_APART, CURSOR_APART, NO_TURN),
    *MIRRORING,
    *(NOT_SYNCED, NO_LIFELINE),
    *TELLING,
)
