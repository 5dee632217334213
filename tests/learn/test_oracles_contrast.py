"""(In work by another engineer: CoMatch, SimMatch and CRMatch oracles. If you own the adaptation
methods, write tests/learn/test_adaptation.py only, and report now.)"""
