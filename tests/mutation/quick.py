"""A plug-in of pytest for `run.py`: that a property fails is enough, its least example is not."""

from hypothesis import Phase, settings

settings.register_profile(
    "quick", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True
)
settings.load_profile("quick")
