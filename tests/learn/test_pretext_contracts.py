"""Every pretext keeps its contracts, and each contract catches what would break it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from leaven.learn.contracts import (
    PRETEXT_CHECKS,
    PRETEXT_EXCLUDED,
    BrokenContract,
    check_pretext,
)
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective


@pytest.mark.parametrize("name", list(PRETEXTS))
def test_pretext_keeps_its_contracts(name: str, request: pytest.FixtureRequest):
    # To name hidden words takes more than one layer.
    request.getfixturevalue("few_words" if name == "masked-language" else "small_networks")
    assert check_pretext(name)


def test_exclusions_are_of_pretexts_and_checks_that_exist_and_give_a_reason():
    checks = {check.name for check in PRETEXT_CHECKS}
    for (pretext, check), reason in PRETEXT_EXCLUDED.items():
        assert pretext in PRETEXTS
        assert check in checks
        assert len(reason) > 10


@dataclass(frozen=True)
class _Faulty(PretextObjective):
    """Two views are to agree, with one fault."""

    fault: str

    def loss(self, now: Moment) -> Loss:
        one = now.network(now.draw.unlabelled("strong"))
        other = now.network(now.draw.unlabelled("strong"))
        if self.fault == "compared with itself":
            return Loss({"agreement": (one - one).square().mean()})
        if self.fault == "learns the views":  # what differs between two views of one record
            return Loss({"agreement": -(one - other).square().mean()})
        assert self.fault == "learning target"
        return Loss({"agreement": (one - now.average(now.draw.unlabelled("weak"))).square().mean()})


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("compared with itself", "'trains every tensor'"),
        ("learns the views", "'beats an untrained encoder'"),
        ("learning target", "'the target takes no gradient'"),
    ],
)
def test_faulty_pretext_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str, caught: str):
    faulty = Pretext("faulty", "", "", "contrastive", _Faulty(fault))
    monkeypatch.setitem(PRETEXTS._entries, "faulty", faulty)
    with pytest.raises(BrokenContract) as broken:
        check_pretext("faulty")
    assert caught in str(broken.value)


def test_a_pretext_asks_for_an_encoder_it_can_train():
    from leaven.core.errors import SettingError
    from leaven.learn.encoder import SequenceEncoder

    places = replace(PRETEXTS["simclr"], asks=SequenceEncoder)
    assert places.encoder("text", "text-transformer") == "text-transformer"
    with pytest.raises(SettingError, match="text-transformer"):
        places.encoder("text", "ngram-bag")
    with pytest.raises(SettingError, match="image"):
        replace(PRETEXTS["simclr"], modalities=("text",)).encoder("image")
