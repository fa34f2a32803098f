"""`clepsydra topics create | check | tail`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from aiokafka.admin import AIOKafkaAdminClient

from gateway.output import AsJson, console, print_json
from gateway.tail import Tail, tail_topic
from topology.access import acl_commands, rules
from topology.channel_settings import usable_channels
from topology.clients import client_arguments
from topology.settings import Settings, load_settings
from topology.topic_admin import check_topics, create_topics
from topology.topics import TopicNames, TopicSpec, create_commands, topic_specs

topics = typer.Typer(no_args_is_help=True, help="The Kafka topics: make, check and read them.")
Brokers = Annotated[str | None, typer.Option(help="host:port, several with commas; else CLEPSYDRA_BROKERS.")]
Prefix = Annotated[str | None, typer.Option(help="What the topics' names begin with; else CLEPSYDRA_PREFIX.")]
T = TypeVar("T")


def all_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """The topics of the settings' prefix, those of every channel too."""
    return topic_specs(
        TopicNames(settings.prefix),
        usable_channels(settings),
        partitions=settings.partitions,
        due_partitions=settings.due_partitions,
        replication=settings.replication,
    )


@topics.command()
def create(
    brokers: Brokers = None,
    prefix: Prefix = None,
    partitions: Annotated[
        int | None, typer.Option(help="Fixed for the life of a prefix; else CLEPSYDRA_PARTITIONS.")
    ] = None,
    replication: Annotated[int | None, typer.Option(help="Replicas of each; else CLEPSYDRA_REPLICATION.")] = None,
    print_: Annotated[bool, typer.Option("--print", help="Only print the commands, for whoever may run them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the topics that are missing. Those that are there stay as they are.

    \b
    Examples:
      clepsydra topics create
      clepsydra topics create --print > topics.sh
    """  # noqa: D301  click wants the character
    settings = load_settings(brokers=brokers, prefix=prefix, partitions=partitions, replication=replication)
    specs = all_specs(settings)
    if print_:
        secured = settings.security_protocol != "PLAINTEXT"
        script = create_commands(
            specs,
            replication=settings.replication,
            brokers=settings.brokers,
            command_config="client.properties" if secured else None,
        )
        typer.echo(script, nl=False)
        return
    done = _with_admin(settings, lambda admin: create_topics(admin, specs, replication=settings.replication))
    if as_json:
        print_json({"made": done.made, "existed": done.existed})
        return
    for name in done.made:
        console().print(f"[green]made[/]  {name}")
    console().print(f"{len(done.made)} made, {len(done.existed)} were there")


@topics.command()
def check(brokers: Brokers = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """Tell what is wrong with the topics. Exit 1 if nothing may start on them.

    \b
    Examples:
      clepsydra topics check
    """  # noqa: D301  click wants the character
    settings = load_settings(brokers=brokers, prefix=prefix)
    specs = all_specs(settings)
    findings = _with_admin(settings, lambda admin: check_topics(admin, specs, replication=settings.replication))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = "[red]wrong[/]" if finding.fatal else "[yellow]note[/]"
            console().print(f"{mark}  {finding.topic}: {finding.problem}\n       {finding.remedy}", markup=True)
        fatal = sum(finding.fatal for finding in findings)
        console().print(f"{len(specs)} topics: {fatal} wrong, {len(findings) - fatal} to note")
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)


@topics.command()
def acls(
    process: Annotated[
        str, typer.Argument(help=f"One of {', '.join(rules(''))}.", show_default=False, metavar="PROCESS")
    ],
    principal: Annotated[str, typer.Option(help="Who it signs in as, such as User:scheduler.", show_default=False)],
    brokers: Brokers = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Print the commands that let a process do what it must, and no more, for whoever may run them.

    \b
    Examples:
      clepsydra topics acls scheduler --principal User:scheduler > acls.sh
      clepsydra topics acls 'topics check' --principal User:monitor
    """  # noqa: D301  click wants the character
    settings = load_settings(brokers=brokers, prefix=prefix)
    known = rules(settings.prefix, settings.kafka_topics)
    if process not in known:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(known)}", param_hint="PROCESS")
    if as_json:
        print_json([rule._asdict() for rule in known[process]])
    else:
        typer.echo(acl_commands(principal, known[process], brokers=settings.brokers), nl=False)


@topics.command()
def tail(
    name: Annotated[str, typer.Argument(help="Short (due.webhook) or full name.", show_default=False)],
    follow: Annotated[
        bool, typer.Option(help="Wait for more; without it, all that is there from the beginning.")
    ] = True,
    id_: Annotated[str | None, typer.Option("--id", help="Only what belongs to this message.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many lines.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="What is there already, too.")] = False,
    brokers: Brokers = None,
    prefix: Prefix = None,
) -> None:
    """Print a topic, one JSON line per element: packs are opened.

    \b
    Examples:
      clepsydra topics tail events
      clepsydra topics tail due.webhook --from-beginning --id post-1 | jq .value
      clepsydra topics tail timetable --no-follow --limit 10
    """  # noqa: D301  click wants the character
    settings = load_settings(brokers=brokers, prefix=prefix)
    wanted = Tail(name=name, follow=follow, message_id=id_, limit=limit, from_beginning=from_beginning or not follow)
    asyncio.run(tail_topic(settings, wanted, typer.echo))


def _with_admin(settings: Settings, work: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
    async def run() -> T:
        admin = AIOKafkaAdminClient(**client_arguments(settings))
        try:
            await admin.start()
            return await work(admin)
        finally:
            await admin.close()

    return asyncio.run(run())
