"""The music collection that gmn composes and renders itself.

It is small, labelled, free of anybody's rights and the same for the same seed: the default input of the demo and the
fixture of the tests. A genre sets metre, tempo range, rhythm, harmony and instruments (`styles`, `arrange`); an
emotion sets mode, register, tempo, dynamics, articulation and the GEMS-9 rates (`emotions`). `compose` writes a
`Score` from both, `render` plays it, and `write` fills a folder.
"""
