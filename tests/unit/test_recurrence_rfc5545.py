"""The examples of RFC 5545, 3.8.5.3: every rule it prints, with the times it prints. All begin in New York at 9:00."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from schemas.recurrence import Recurrence, Timing, nominals
from schemas.zones import zone

NEW_YORK = zone("America/New_York")


def days(year: int, **months: str) -> list[str]:
    """`days(1997, sep="2 4-6")` as ISO dates."""
    numbers = {
        "jan": 1,
        "feb": 2,
        "mar": 3,
        "apr": 4,
        "may": 5,
        "jun": 6,
        "jul": 7,
        "aug": 8,
        "sep": 9,
        "oct": 10,
        "nov": 11,
        "dec": 12,
    }
    found = []
    for month, text in months.items():
        for part in text.split():
            first, _, last = part.partition("-")
            found += [f"{year}-{numbers[month]:02}-{day:02}" for day in range(int(first), int(last or first) + 1)]
    return found


def at_nine(dates: list[str]) -> list[str]:
    return [f"{date} 09:00" for date in dates]


def on(date: str, *times: str) -> list[str]:
    return [f"{date} {time}" for time in times]


TWENTY_MINUTES = [f"{hour:02}:{minute:02}" for hour in range(9, 17) for minute in (0, 20, 40)]
WHOLE_MONTHS = {"sep": "2-30", "oct": "1-31", "nov": "1-30", "dec": "1-23"}
EVERY_OTHER_DAY = {
    "sep": "2 4 6 8 10 12 14 16 18 20 22 24 26 28 30",
    "oct": "2 4 6 8 10 12 14 16 18 20 22 24 26 28 30",
    "nov": "1 3 5 7 9 11 13 15 17 19 21 23 25 27 29",
    "dec": "1 3",
}
JANUARIES = [d for year in (1998, 1999, 2000) for d in days(year, jan="1-31")]

EXAMPLES = [
    ("FREQ=DAILY;COUNT=10", "1997-09-02", at_nine(days(1997, sep="2-11")), True),
    ("FREQ=DAILY;UNTIL=19971224T000000Z", "1997-09-02", at_nine(days(1997, **WHOLE_MONTHS)), True),
    ("FREQ=DAILY;INTERVAL=2", "1997-09-02", at_nine(days(1997, **EVERY_OTHER_DAY)), False),
    ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", at_nine(days(1997, sep="2 12 22", oct="2 12")), True),
    ("FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA", "1998-01-01", at_nine(JANUARIES), True),
    ("FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1", "1998-01-01", at_nine(JANUARIES), True),
    (
        "FREQ=WEEKLY;COUNT=10", "1997-09-02",
        at_nine(days(1997, sep="2 9 16 23 30", oct="7 14 21 28", nov="4")), True,
    ),
    (
        "FREQ=WEEKLY;UNTIL=19971224T000000Z", "1997-09-02",
        at_nine(days(1997, sep="2 9 16 23 30", oct="7 14 21 28", nov="4 11 18 25", dec="2 9 16 23")), True,
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU", "1997-09-02",
        at_nine(days(1997, sep="2 16 30", oct="14 28", nov="11 25", dec="9 23") + days(1998, jan="6 20", feb="3 17")), False,
    ),
    ("FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH", "1997-09-02",
     at_nine(days(1997, sep="2 4 9 11 16 18 23 25 30", oct="2")), True),
    ("FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH", "1997-09-02",
     at_nine(days(1997, sep="2 4 9 11 16 18 23 25 30", oct="2")), True),
    (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR", "1997-09-01",
        at_nine(days(1997, sep="1 3 5 15 17 19 29", oct="1 3 13 15 17 27 29 31", nov="10 12 14 24 26 28",
                     dec="8 10 12 22")), True,
    ),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH", "1997-09-02",
     at_nine(days(1997, sep="2 4 16 18 30", oct="2 14 16")), True),
    (
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR", "1997-09-05",
        at_nine(days(1997, sep="5", oct="3", nov="7", dec="5")
                + days(1998, jan="2", feb="6", mar="6", apr="3", may="1", jun="5")), True,
    ),
    ("FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR", "1997-09-05",
     at_nine(days(1997, sep="5", oct="3", nov="7", dec="5")), True),
    (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU", "1997-09-07",
        at_nine(days(1997, sep="7 28", nov="2 30") + days(1998, jan="4 25", mar="1 29", may="3 31")), True,
    ),
    (
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "1997-09-22",
        at_nine(days(1997, sep="22", oct="20", nov="17", dec="22") + days(1998, jan="19", feb="16")), True,
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28",
        at_nine(days(1997, sep="28", oct="29", nov="28", dec="29") + days(1998, jan="29", feb="26")), False,
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15", "1997-09-02",
        at_nine(days(1997, sep="2 15", oct="2 15", nov="2 15", dec="2 15") + days(1998, jan="2 15")), True,
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1", "1997-09-30",
        at_nine(days(1997, sep="30", oct="1 31", nov="1 30", dec="1 31") + days(1998, jan="1 31", feb="1")), True,
    ),
    (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15", "1997-09-10",
        at_nine(days(1997, sep="10-15") + days(1999, mar="10-13")), True,
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", "1997-09-02",
        at_nine(days(1997, sep="2 9 16 23 30", nov="4 11 18 25") + days(1998, jan="6 13 20 27", mar="3 10 17 24 31")), False,
    ),
    (
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7", "1997-06-10",
        at_nine([d for year in range(1997, 2002) for d in days(year, jun="10", jul="10")]), True,
    ),
    (
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", "1997-03-10",
        at_nine(days(1997, mar="10") + [d for year in (1999, 2001, 2003) for d in days(year, jan="10", feb="10", mar="10")]),
        True,
    ),
    (
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", "1997-01-01",
        at_nine(days(1997, jan="1", apr="10", jul="19") + days(2000, jan="1", apr="9", jul="18")
                + days(2003, jan="1", apr="10", jul="19") + days(2006, jan="1")), True,
    ),
    (
        "FREQ=YEARLY;BYDAY=20MO", "1997-05-19",
        at_nine(days(1997, may="19") + days(1998, may="18") + days(1999, may="17")), False,
    ),
    (
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12",
        at_nine(days(1997, may="12") + days(1998, may="11") + days(1999, may="17")), False,
    ),
    (
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13",
        at_nine(days(1997, mar="13 20 27") + days(1998, mar="5 12 19 26") + days(1999, mar="4 11 18 25")), False,
    ),
    (
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8", "1997-06-05",
        at_nine(
            days(1997, jun="5 12 19 26", jul="3 10 17 24 31", aug="7 14 21 28")
            + days(1998, jun="4 11 18 25", jul="2 9 16 23 30", aug="6 13 20 27")
            + days(1999, jun="3 10 17 24", jul="1 8 15 22 29", aug="5 12 19 26")
        ), False,
    ),
    (
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02",
        at_nine(days(1998, feb="13", mar="13", nov="13") + days(1999, aug="13") + days(2000, oct="13")), False,
    ),
    (
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "1997-09-13",
        at_nine(days(1997, sep="13", oct="11", nov="8", dec="13")
                + days(1998, jan="10", feb="7", mar="7", apr="11", may="9", jun="13")), False,
    ),
    (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-05",
        at_nine(days(1996, nov="5") + days(2000, nov="7") + days(2004, nov="2")), False,
    ),
    ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", at_nine(days(1997, sep="4", oct="7", nov="6")), True),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29",
        at_nine(days(1997, sep="29", oct="30", nov="27", dec="30") + days(1998, jan="29", feb="26", mar="30")), False,
    ),
    (
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", "1997-09-02",
        on("1997-09-02", "09:00", "12:00", "15:00"), True,
    ),
    (
        "FREQ=MINUTELY;INTERVAL=15;COUNT=6", "1997-09-02",
        on("1997-09-02", "09:00", "09:15", "09:30", "09:45", "10:00", "10:15"), True,
    ),
    ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", "1997-09-02", on("1997-09-02", "09:00", "10:30", "12:00", "13:30"), True),
    (
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40", "1997-09-02",
        on("1997-09-02", *TWENTY_MINUTES) + on("1997-09-03", *TWENTY_MINUTES), False,
    ),
    (
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16", "1997-09-02",
        on("1997-09-02", *TWENTY_MINUTES) + on("1997-09-03", *TWENTY_MINUTES), False,
    ),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", at_nine(days(1997, aug="5 10 19 24")), True),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", at_nine(days(1997, aug="5 17 19 31")), True),
    (
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15",
        at_nine(days(2007, jan="15 30", feb="15", mar="15 30")), True,
    ),
]  # fmt: skip


PRINTED_WITH_ANOTHER_UNTIL = "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z"
"""The RFC prints 15:00 with it, too. 17:00 UTC is 13:00 in New York: 210000Z, as in EXAMPLES, is what it means."""


def local(moment: datetime, where: ZoneInfo = NEW_YORK) -> str:
    return moment.astimezone(where).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(("rule", "first", "wanted", "ends"), EXAMPLES)
def test_an_example_of_the_rfc_gives_its_times(rule, first, wanted, ends):
    dtstart = datetime.fromisoformat(f"{first}T09:00:00")
    exdates = (dtstart,) if first == "1997-09-02" and "BYMONTHDAY=13" in rule else ()
    timing = Timing(recurrence=Recurrence(rrule=rule, dtstart=dtstart, exdates=exdates), timezone="America/New_York")
    found = [local(m) for m in islice(nominals(timing, datetime(1990, 1, 1, tzinfo=UTC)), len(wanted) + 1)]
    assert found[: len(wanted)] == wanted
    assert len(found) == len(wanted) + (not ends)


def test_the_offset_of_the_examples_changes_with_the_clocks():
    timing = Timing(
        recurrence=Recurrence(rrule="FREQ=DAILY;COUNT=60", dtstart=datetime(1997, 9, 2, 9)), timezone="America/New_York"
    )
    found = list(nominals(timing, datetime(1990, 1, 1, tzinfo=UTC)))
    assert {m.hour for m in found if m < datetime(1997, 10, 26, tzinfo=UTC)} == {13}
    assert {m.hour for m in found if m > datetime(1997, 10, 26, tzinfo=UTC)} == {14}


def test_dates_may_be_added_and_taken_away():
    timing = Timing(
        recurrence=Recurrence(
            rrule="FREQ=DAILY;COUNT=4", dtstart=datetime(2026, 1, 1, 9), exdates=(datetime(2026, 1, 2, 9),),
            rdates=(datetime(2026, 1, 2, 17), datetime(2026, 1, 3, 9), datetime(2025, 12, 1, 9)),
        ),
        timezone="America/New_York",
    )  # fmt: skip
    found = [local(m) for m in nominals(timing, datetime(2025, 1, 1, tzinfo=UTC))]
    assert found == ["2025-12-01 09:00", "2026-01-01 09:00", "2026-01-02 17:00", "2026-01-03 09:00", "2026-01-04 09:00"]


def test_an_until_in_utc_is_an_instant_as_everywhere():
    timing = Timing(
        recurrence=Recurrence(rrule=PRINTED_WITH_ANOTHER_UNTIL, dtstart=datetime(1997, 9, 2, 9)),
        timezone="America/New_York",
    )
    found = [local(m) for m in nominals(timing, datetime(1990, 1, 1, tzinfo=UTC))]
    assert found == on("1997-09-02", "09:00", "12:00")


def test_no_rule_of_the_rfc_is_left_out():
    """38 examples; four of them give a second rule for the same or for other times."""
    assert len({(rule, first) for rule, first, _, _ in EXAMPLES}) == 42
