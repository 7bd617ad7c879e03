"""Sabotage of what far sides are told: the tables lose nothing, and yet somebody is told too little, or too early."""

from tests.sabotage.build import Build, Change, Drill

WELCOME, LETTER, NOTICE = (f"adapters/workers/{name}.py" for name in ("email_welcome", "letter", "warehouse_notify"))

NOT_AGAIN = Build(
    "sent at most once",
    "A second attempt takes the first one's mail for sent, and sends none.",
    (
        Change(WELCOME, "from domain.outcome import Outcome\n", "from domain.outcome import Done, Outcome\n"),
        Change(
            WELCOME,
            "        return await letters.post(",
            "        if job.attempt > 1:\n"
            "            id = email.message_id(job.id, letters.domain)\n"
            "            return Done(result=email.Result(message_id=id, answer=''))\n"
            "        return await letters.post(",
        ),
    ),
    Drill(("refused:smtp",), 0.25),
    ("missing_effect: ",),
)

OTHER_NAME = Build(
    "a name for each copy",
    "A mail gets its Message-ID when it is sent, not with its task: nobody recognises the second copy.",
    (
        Change(LETTER, "from uuid import UUID\n", "from uuid import UUID, uuid4\n"),
        Change(LETTER, "email.message_id(task, self.domain)", "email.message_id(task, f'{uuid4()}.{self.domain}')"),
    ),
    Drill(("answer-lost:smtp",), 0.25),
    ("wrong_effect: ",),
)

OTHER_TASK = Build(
    "named by the thing",
    "A notice is named by its order, not by its task: who receives it cannot ask for what sent it.",
    (Change(NOTICE, "warehouse.webhook_id(job.id)", "warehouse.webhook_id(request.order)"),),
    Drill(("cut:webhook",), 0.15),
    ("phantom_effect: ",),
)

ALL_AT_ONCE = Build(
    "a chain at once",
    "The tasks of an order do not wait for one another.",
    (Change("domain/reactions.py", "_task(fact, kind, request, *chain[-1:])", "_task(fact, kind, request)"),),
    Drill(("cut:webhook",), 0.15),
    ("out_of_order: ",),
)

TELLING = (NOT_AGAIN, OTHER_NAME, OTHER_TASK, ALL_AT_ONCE)
