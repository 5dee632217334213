"""Accuracy from few labels: Leaven beside its own baseline and its peers, on the same splits.

    python -m benchmarks --data FOLDER           # fits what is not yet in the results
    python -m benchmarks.table RESULTS           # results → docs/benchmarks.md and its plot

To extend it: a peer is one entry of `peers.PEERS`; a set is a folder that `formats` can read; a
method of Leaven needs nothing, its name goes into `--methods`.
"""
