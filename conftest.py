"""Keep pytest from importing the rooms as top-level modules: `codecs` would shadow Python's."""

collect_ignore = [
    "cli",
    "codecs",
    "converter",
    "keys",
    "server",
    "src",
    "temporal",
    "testing",
]
