"""What lies on each topic: the records, how they are packed and keyed, and the JSON Schema of it all."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from schemas.commands import Answer, AnyCommand
from schemas.due import DueMessage, Fence
from schemas.events import DeadLetter, Event, Unreadable
from schemas.outcomes import Ack, CourierClaim, DoneBefore, EpochSeen, OutcomeRecord, Started
from schemas.rows import Claim, Progress, Row
from schemas.schedule_rows import ScheduleClaim, ScheduleRow
from schemas.settings_records import Setting
from schemas.shown import shown
from schemas.versions import VERSION
from schemas.window_records import WindowRecord

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:clepsydra:schema:{topic}:v{version}"
VERSION_SAID = "the version of the record; a reader that does not know it must not guess"

Packing = Literal["packed", "single", "either"]
"""Of a record's value: a JSON array of elements, one element, or whichever its writer likes."""


class TopicRecords(Struct, frozen=True, kw_only=True):
    """One topic: what its records say, their key, their types."""

    topic: str
    says: str
    key: str
    packing: Packing
    types: tuple[Any, ...]
    per_channel: bool = False
    ours: bool = True
    """Only our own processes write it: `v` is always there."""


RECORDS = (
    TopicRecords(
        topic="commands",
        says="What people ask of a message's owner: write here to use Clepsydra without HTTP",
        key="the routing key, the id's part before its last @; murmur2 of it gives the partition",
        packing="either",
        types=(AnyCommand,),
        ours=False,
    ),
    TopicRecords(
        topic="timetable",
        says="One row per live message, a stub of a finished one; `!claim` and `!progress` of the partition's owner",
        key="the message's id; no value: forgotten",
        packing="single",
        types=(Row | Claim | Progress,),
    ),
    TopicRecords(
        topic="schedules",
        says="One row per schedule: its definition, cursor, exceptions, history; `!claim` of the partition's owner",
        key="the schedule's id; no value: removed and forgotten",
        packing="single",
        types=(ScheduleRow | ScheduleClaim,),
    ),
    TopicRecords(
        topic="due",
        says="Due messages on their way to the couriers of one channel, and the fences of new owners",
        key="p and the timetable's partition",
        packing="packed",
        types=(DueMessage | Fence,),
        per_channel=True,
    ),
    TopicRecords(
        topic="acks",
        says="What couriers answer to owners, one per due message",
        key="none: the partition is that of the timetable",
        packing="packed",
        types=(Ack,),
    ),
    TopicRecords(
        topic="answers",
        says="What owners answer to commands, in the partition that `reply_to` named",
        key="none",
        packing="packed",
        types=(Answer,),
    ),
    TopicRecords(
        topic="outcomes",
        says="The couriers' memory of one channel: what was sent, what may have been, claims, epochs seen, how far it is",
        key="delivery key, birth and turn, with ! between",
        packing="single",
        types=(OutcomeRecord | CourierClaim | EpochSeen | Started | DoneBefore,),
        per_channel=True,
    ),
    TopicRecords(
        topic="events",
        says="One transition of one message per record: read here what becomes of messages",
        key="the message's id",
        packing="single",
        types=(Event,),
    ),
    TopicRecords(
        topic="dead_letters",
        says="Deliveries given up, with their message; records that could not be read or accepted, with the remedy",
        key="the message's id, or topic/partition/offset",
        packing="single",
        types=(DeadLetter, Unreadable),
    ),
    TopicRecords(
        topic="settings",
        says="What is set at run time, by kind and key: every process reads it whole",
        key="kind/key; no value: taken away",
        packing="single",
        types=(Setting,),
    ),
    TopicRecords(
        topic="windows",
        says="What is in one due minute of one partition, and how late it went out; the sum over partitions is the window",
        key="partition/minute, as in 3/2026-11-24T08:00Z; no value: forgotten",
        packing="single",
        types=(WindowRecord,),
    ),
)


def records_of(name: str, prefix: str = "") -> TopicRecords | None:
    """What lies on a topic, by its short name (`events`, `due.webhook`) or full one; None for another's topic."""
    short = name.removeprefix(prefix)
    return next((r for r in RECORDS if short == r.topic or (r.per_channel and short.startswith(r.topic + "."))), None)


def json_schema(records: TopicRecords) -> dict[str, Any]:
    """The schema of a record's value (JSON Schema 2020-12)."""
    options, definitions = msgspec.json.schema_components([shown(each) for each in records.types])
    for definition in definitions.values():
        _versioned(definition, required=records.ours)
        if records.ours:
            definition.pop("additionalProperties", None)  # the next release may add a field
    element = options[0] if len(options) == 1 else {"anyOf": list(options)}
    element.pop("discriminator", None)  # OpenAPI's keyword; strict validators refuse what JSON Schema does not have
    return {
        "$schema": DIALECT,
        "$id": ID.format(topic=records.topic, version=VERSION),
        "title": f"Clepsydra: the topic {records.topic}{'.<channel>' if records.per_channel else ''}",
        "description": f"{records.says}. Key: {records.key}.",
        **_packed(element, records.packing),
        "$defs": definitions,
    }


def _packed(element: dict[str, Any], packing: Packing) -> dict[str, Any]:
    pack = {"type": "array", "items": element, "minItems": 1}
    match packing:
        case "single":
            return element
        case "packed":
            return pack
        case "either":
            return {"anyOf": [*element.get("anyOf", [element]), pack]}


def _versioned(definition: dict[str, Any], *, required: bool) -> None:
    """`v` is the one version that this release writes."""
    fields = definition.get("properties", {})
    if "v" in fields:
        fields["v"] = {"const": VERSION, "description": VERSION_SAID}
        if required:
            definition["required"].append("v")
        else:
            fields["v"]["default"] = VERSION
