"""Verbs: keep the timetable, emit what is due, deliver, apply acks. Coroutines that are told their world."""
