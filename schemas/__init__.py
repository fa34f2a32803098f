"""Nouns and their laws: records, lifecycle, decisions. Pure: no clock, no I/O, no Faust."""
