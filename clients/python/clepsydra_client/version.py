"""The version of the client: that of the Clepsydra it was released with."""

__version__ = "0.1.0"
