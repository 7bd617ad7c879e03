"""Who may do what in NATS, as the accounts of a server's configuration: one user with its own rights for each role.

Who asks the server for something names the subject of the answer, and the server does not look whether they may publish
there: with `$JS.API.STREAM.DELETE.LOG` as that subject, whoever may read a message could delete the stream (tried on
2.15.1). So subscribers live in an account of their own, into which only the calls of a reader are imported."""

from collections.abc import Iterator, Mapping, Sequence

from adapters.nats.names import STREAM, consumer, durable

NOTHING: tuple[str, ...] = ()
NOBODY: Mapping[str, str] = {}

ONE_ANSWER = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.LOG",
    "$JS.API.STREAM.MSG.GET.LOG",
    "$JS.API.CONSUMER.CREATE.LOG.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.LOG.*",
    "$JS.API.CONSUMER.INFO.LOG.*",
    "$JS.API.CONSUMER.DELETE.LOG.*",
    "$JS.ACK.LOG.>",
    "$JS.ACK.*.*.LOG.>",
    "$JS.FC.LOG.>",
)
MANY_ANSWERS = ("$JS.API.CONSUMER.MSG.NEXT.LOG.*", "$JS.API.DIRECT.GET.LOG", "$JS.API.DIRECT.GET.LOG.>")
# The older form of this call has the consumer's name in its payload, where no right can see whose it is.
UNNAMED = "$JS.API.CONSUMER.CREATE.LOG"
NAMED = "$JS.API.CONSUMER.CREATE.LOG.{{random(2147483647)}}"

VERBS = ("CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT", "DELETE")

ACCOUNTS = """\
authorization {{
  timeout: 5
}}
accounts {{
  POSTCOMMIT {{
    jetstream: enabled
    users: [
{users}
    ]
    exports: [
{exports}
    ]
  }}
  SUBSCRIBERS {{
    users: [
{subscriber}
    ]
    mappings {{ "{unnamed}": "{named}" }}
    imports: [
{imports}
    ]
  }}
{consumers}}}
"""


def accounts(passwords: Mapping[str, str], queues: Sequence[str], registered: Mapping[str, str] = NOBODY) -> str:
    """The accounts of a server's configuration, as text. The passwords are as they stand there: quoted, or $NAME for
    a variable of the server's environment. `registered` are those of the registered consumers, by name."""
    allowed = rights(queues, tuple(registered))
    users = {name: _user(name, passwords[name], *of_user) for name, of_user in allowed.items()}
    return ACCOUNTS.format(
        subscriber=users.pop("subscriber"),
        users="\n".join(users.values()),
        exports="\n".join([*_exports(), *(line for name in registered for line in exports(name))]),
        imports="\n".join(_imports()),
        unnamed=UNNAMED,
        named=NAMED,
        consumers="".join(f"{account(name, password)}\n" for name, password in registered.items()),
    )


def account(name: str, password: str) -> str:
    """The account of one registered consumer, for the `accounts` of a server's configuration: it imports the calls of
    its own durable, so whatever answers it asks for can go nowhere but to itself.

    An account that does not import $JS.API.INFO, too, is taken by the server for one with a JetStream of its own, and
    the other calls do not arrive (tried on 2.15.1). The user may not make that call."""
    calls = _calls(name)
    imports = "\n".join(
        f'      {{ service: {{ account: POSTCOMMIT, subject: "{subject}" }} }}' for subject in ("$JS.API.INFO", *calls)
    )
    return f"""\
  "CONSUMER_{name}" {{
    users: [
{_user(consumer(name), password, calls, NOTHING, [f"_INBOX_{name}.>"])}
    ]
    imports: [
{imports}
    ]
  }}"""


def exports(name: str) -> list[str]:
    """What the account POSTCOMMIT exports to that of a registered consumer, and to no other."""
    answers = ["stream", "singleton", "singleton", "singleton"]
    return [
        f'      {{ service: "{subject}", response: {answer}, accounts: ["CONSUMER_{name}"] }}'
        for subject, answer in zip(_calls(name), answers, strict=True)
    ]


def _calls(name: str) -> list[str]:
    """What a registered consumer may ask of its durable: fetch, acknowledge, and how it stands."""
    durable = consumer(name)
    calls = [f"$JS.API.CONSUMER.{verb}.{STREAM}.{durable}" for verb in ("MSG.NEXT", "INFO")]
    return [*calls, f"$JS.ACK.{STREAM}.{durable}.>", f"$JS.ACK.*.*.{STREAM}.{durable}.>"]


def _exports() -> Iterator[str]:
    """What subscribers may use: calls, and what is pushed to inboxes without the name of a role."""
    for subject in ONE_ANSWER:
        yield f'      {{ service: "{subject}" }}'
    for subject in MANY_ANSWERS:
        yield f'      {{ service: "{subject}", response: stream }}'
    yield '      { stream: "_INBOX.>" }'


def _imports() -> Iterator[str]:
    for subject in (*ONE_ANSWER, *MANY_ANSWERS):
        yield f'      {{ service: {{ account: POSTCOMMIT, subject: "{subject}" }} }}'
    yield '      { stream: { account: POSTCOMMIT, subject: "_INBOX.>" } }'


def _user(name: str, password: str, publish: Sequence[str], never: Sequence[str], subscribe: Sequence[str]) -> str:
    allowed = f"publish: {{ allow: [{_quoted(publish)}], deny: [{_quoted(never)}] }}"
    heard = f"subscribe: {{ allow: [{_quoted(subscribe)}] }}"
    return f'      {{ user: "{name}", password: {password}, permissions: {{ {allowed}, {heard} }} }}'


def _quoted(subjects: Sequence[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)


def rights(
    queues: Sequence[str], registered: Sequence[str] = ()
) -> Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    """For each user: what it may publish, what of that it may not, and what it may subscribe to.

    A wildcard stands for a whole token, so the durables of workers and registered consumers are listed one by one."""
    durables = [durable(queue) for queue in queues]
    api = "$JS.API.CONSUMER"
    return {
        "api": (["bells.v1.>"], NOTHING, ["bells.v1.>", "_INBOX_api.>"]),
        "relay": (
            ["bells.v1.>", "events.v1.>", "tasks.v1.>", "$JS.API.>"],
            NOTHING,
            ["bells.v1.>", "_INBOX_relay.>"],
        ),
        "worker": (
            [f"{api}.MSG.NEXT.LOG.{name}" for name in durables] + _acks(durables) + ["bells.v1.log"],
            NOTHING,
            ["bells.v1.>", "_INBOX_worker.>"],
        ),
        "reader": (["bells.v1.>"], NOTHING, ["bells.v1.>", "_INBOX_reader.>"]),
        "subscriber": (
            [*ONE_ANSWER, *MANY_ANSWERS, UNNAMED],
            [call for name in (*durables, *map(consumer, registered)) for call in _of_durable(name)],
            ["_INBOX.>"],
        ),
        "admin": ([">"], NOTHING, [">"]),
    }


def denied(name: str) -> list[str]:
    """What nobody but a registered consumer and the relay may do with its durable."""
    return _of_durable(consumer(name))


def _of_durable(name: str) -> list[str]:
    calls = [f"$JS.API.CONSUMER.{verb}.LOG.{name}" for verb in VERBS]
    return [*calls, f"$JS.API.CONSUMER.CREATE.LOG.{name}.>", *_acks([name])]


def _acks(durables: Sequence[str]) -> list[str]:
    return [ack for name in durables for ack in (f"$JS.ACK.LOG.{name}.>", f"$JS.ACK.*.*.LOG.{name}.>")]
