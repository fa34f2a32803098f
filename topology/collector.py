"""Python's cycle collector, told to look rarely."""

import gc


def calm_collector() -> None:
    """What was made to start lives for ever; records are freed by count, so cycles need a look only now and then.

    Measured: with Python's default thresholds half of the time of a bulk load went into looking for cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
