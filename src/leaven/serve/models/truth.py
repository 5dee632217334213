"""What turned out to be true of a prediction, kept once."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import insert, select

from leaven.core.errors import DataError
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["HEARD", "ORIGIN", "keep_truth"]

#: Places whose answers were heard.
HEARD = ("live", "canary")
#: Where such labels come from, among the origins of labels.
ORIGIN = "production"


def keep_truth(
    store: Store,
    service: str,
    prediction: str,
    label: str,
    *,
    caused: bool,
    person: str,
    clock: Callable[[], float] = time.time,
) -> bool | None:
    """Keep it; whether it was there already, None where no such prediction was logged.

    When this returns it is in the database.

    Raises DataError where another label or cause was told before, StoreError where it could not
    be kept.
    """
    with store.write() as connection:
        heard = (predictions.c.name == prediction) & predictions.c.place.in_(HEARD)
        query = select(predictions.c.content).where(heard, predictions.c.service == service)
        content = connection.execute(query).scalar()
        if content is None:
            return None
        before = connection.execute(
            select(feedback.c.label, feedback.c.caused).where(feedback.c.prediction == prediction)
        ).one_or_none()
        if before is not None:
            if (before.label, before.caused) != (label, caused):
                raise DataError(
                    f"It was told before that '{prediction}' is {before.label!r}"
                    f"{', caused by the prediction' if before.caused else ''}. The first counts."
                )
            return True
        row = {
            "service": service, "prediction": prediction, "content": content, "label": label,
            "caused": caused, "origin": ORIGIN, "person": person, "at": clock(),
        }  # fmt: skip
        connection.execute(insert(feedback).values(**row))
        return False
