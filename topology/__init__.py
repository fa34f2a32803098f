"""Wiring: apps, topics, the timetable, the clock, and the parts that Clepsydra embeds."""
