"""The errors that cross rooms, and what each means for the process.

    TiltmeterError
    ├── ConfigError      what the operator wrote cannot work: printed as one line, exit status 2
    ├── DataError        an input file cannot be used: printed as one line, exit status 1
    ├── Fenced           another process has taken this one's place: go to standby
    └── Rewound          the source's assignment changed: drop what is unflushed and read again

Anything else is a bug or a lost dependency: logged once, and it ends the process.
"""


class TiltmeterError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(TiltmeterError):
    """Names the file, the key and what was expected there."""


class DataError(TiltmeterError):
    """Names the file, the line or column, and what was expected there."""


class Fenced(TiltmeterError):
    """Another decider (or another owner of the same input position) is active."""


class Rewound(TiltmeterError):
    """Input partitions were reassigned since the last poll; unflushed work must be thrown away."""
