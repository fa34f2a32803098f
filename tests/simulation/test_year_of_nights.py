"""A year of nights, of a few apps in every check, of 2,000 where it is asked for."""

import logging
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

from year_of_nights import Year, year_of_nights

APPS = int(os.environ.get("CLEPSYDRA_TEST_APPS", "6"))
OF_ONE_OWNER = 250
NIGHTS = 366


def test_a_year_of_nights():
    """CLEPSYDRA_TEST_APPS=2000: the whole of it, eight owners of 250 schedules each, a process per core."""
    shares = [min(OF_ONE_OWNER, APPS - first) for first in range(0, APPS, OF_ONE_OWNER)]
    seeds = range(4, 4 + len(shares))
    if len(shares) == 1:
        years = [year_of_nights(APPS, NIGHTS, seeds[0])]
    else:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            years = list(pool.map(year_of_nights, shares, repeat(NIGHTS), seeds))
    whole = Year(*map(sum, zip(*years, strict=True)))
    logging.getLogger(__name__).info("%d apps, %d nights: %s", APPS, NIGHTS, whole)
    assert whole.sent > APPS * NIGHTS - whole.cancelled - whole.moved
    assert min(whole.cancelled, whole.moved) > 0
