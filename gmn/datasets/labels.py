"""What a track can be labelled with, and where labels come from."""

GEMS = (
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
)
"""The nine factors of the Geneva Emotional Music Scale (Zentner, Grandjean, Scherer 2008), in Emotify's order."""
