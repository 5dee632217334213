"""Every metric by its name: what it counts, and the labels that tell its series apart.

Labels hold what the operator chose or what this program knows: the service, runs and versions that
are loaded, routes by their template, states. Nothing that comes with a request is ever a label. The
service is the label `model`, for `service` is one that Prometheus gives targets itself. Fits have
the name of their data instead (`data`).
Names follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COUNTER", "GAUGE", "HISTOGRAM", "METRICS", "SECONDS", "Metric"]

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
#: Upper bounds of the buckets of a time, in seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: The same of records that are asked at once.
_RECORDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_MODEL, _DATA = ("model", "run", "version", "place"), ("data",)


@dataclass(frozen=True)
class Metric:
    """One metric; `bounds` are the upper bounds of a histogram's buckets, without +Inf."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ("model",)
    bounds: tuple[float, ...] = ()


METRICS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        Metric("leaven_build_info", GAUGE, "The version of Leaven that serves; always 1.",
               ("model", "version")),
        Metric("leaven_http_requests_total", COUNTER,
               "Requests by route, as the documentation names it, and status.",
               ("model", "method", "route", "status")),
        Metric("leaven_http_request_duration_seconds", HISTOGRAM,
               "From the head of a request to the end of its answer.",
               ("model", "route"), SECONDS),
        Metric("leaven_predictions_total", COUNTER,
               "Records answered, by the model that did and who goes on: answer or review.",
               (*_MODEL, "route")),
        Metric("leaven_predictions_explored_total", COUNTER,
               "Records drawn at random to be looked at, whatever the model says.", _MODEL),
        Metric("leaven_predictions_larger_total", COUNTER,
               "Of the records answered those that the larger model of a cascade did.",
               (*_MODEL, "larger")),
        Metric("leaven_batch_records", HISTOGRAM, "Records that a model was asked at once.",
               ("model",), _RECORDS),
        Metric("leaven_waiting_records", GAUGE, "Records that wait for the model."),
        Metric("leaven_held_bytes", GAUGE, "Bytes of the requests that are under way."),
        Metric("leaven_shadows_dropped_total", COUNTER,
               "Requests whose shadow was not asked, because too many waited."),
        Metric("leaven_log_written_total", COUNTER, "Predictions written to the log."),
        Metric("leaven_log_dropped_total", COUNTER,
               "Predictions and questions that were lost, because the store did not take them."),
        Metric("leaven_log_failing", GAUGE, "Workers whose log cannot be written."),
        Metric("leaven_review_questions_total", COUNTER,
               "Questions that the service put into the review queue."),
        Metric("leaven_review_backlog", GAUGE, "Records that wait for review."),
        Metric("leaven_review_oldest_seconds", GAUGE,
               "For how long the oldest of them has waited; 0 for none."),
        Metric("leaven_feedback", GAUGE,
               "Predictions of which truth came back and is kept, by whether they were right.",
               ("model", "right")),
        Metric("leaven_ready", GAUGE, "Workers that have a model loaded."),
        Metric("leaven_swap_failing", GAUGE,
               "Workers that serve something else than what was released."),
        Metric("leaven_swap_failures_total", COUNTER,
               "Looks at the releases that could not be followed."),
        Metric("leaven_release_decision", GAUGE, "The number of the last decision that is served."),
        Metric("leaven_release_info", GAUGE, "A run that is loaded, and its place; always 1.",
               _MODEL),
        Metric("leaven_canary_share", GAUGE,
               "The share of the requests that the canary answers; 0 for no canary."),
        Metric("leaven_canary_decision", GAUGE,
               "1 for what the guard decided last of the canary that stands, 0 for the rest.",
               ("model", "action")),
        Metric("leaven_canary_rolled_back_timestamp_seconds", GAUGE,
               "When the guard took a canary back last."),
        Metric("leaven_run_fit_seconds", GAUGE, "How long the fit of a released run took.",
               _MODEL),
        Metric("leaven_run_fit_cpu_seconds", GAUGE, "The processor time of that fit.", _MODEL),
        Metric("leaven_run_fit_steps", GAUGE, "The training steps of that fit.", _MODEL),
        Metric("leaven_run_labelled_records", GAUGE, "The labelled records that it was given.",
               _MODEL),
        Metric("leaven_run_accuracy", GAUGE, "Its accuracy on records that were held out.",
               _MODEL),
        Metric("leaven_loop_state", GAUGE, "1 for where the retraining loop is, 0 for the rest.",
               ("model", "state")),
        Metric("leaven_loop_cycles_total", COUNTER, "Cycles that the retraining loop began."),
        Metric("leaven_loop_last_event_timestamp_seconds", GAUGE,
               "When something happened in the retraining loop last."),
        Metric("leaven_fit_info", GAUGE, "The last fit of a data set that ended well; always 1.",
               ("data", "run", "method", "kept", "outcome")),
        Metric("leaven_fit_success_timestamp_seconds", GAUGE, "When it ended.", _DATA),
        Metric("leaven_fit_seconds", GAUGE, "How long it took.", _DATA),
        Metric("leaven_fit_cpu_seconds", GAUGE, "Its processor time.", _DATA),
        Metric("leaven_fit_steps", GAUGE, "Its training steps, of all folds and both models.",
               _DATA),
        Metric("leaven_fit_peak_memory_bytes", GAUGE, "The most memory that it had.", _DATA),
        Metric("leaven_fit_records", GAUGE, "The records that it was given.", _DATA),
        Metric("leaven_fit_labelled_records", GAUGE, "Those of them that had a label.", _DATA),
        Metric("leaven_fit_quarantined_records", GAUGE, "Records that could not be used.", _DATA),
        Metric("leaven_fit_accuracy", GAUGE, "Its accuracy on records that were held out.", _DATA),
        Metric("leaven_fit_accuracy_low", GAUGE, "The lower end of that figure's interval.", _DATA),
        Metric("leaven_fit_baseline_accuracy", GAUGE,
               "The accuracy of the supervised baseline on the same records.", _DATA),
        Metric("leaven_fit_calibration_error", GAUGE, "Its expected calibration error.", _DATA),
        Metric("leaven_fit_pseudo_label_coverage", GAUGE,
               "The share of unlabelled records of which it is sure.", _DATA),
        Metric("leaven_fit_state", GAUGE, "1 for how the latest fit of a data set stands.",
               ("data", "state")),
        Metric("leaven_fit_progress_ratio", GAUGE, "How much of the latest fit is done.", _DATA),
        Metric("leaven_fit_updated_timestamp_seconds", GAUGE,
               "When the latest fit was last heard of: long ago while it runs, and it was killed.",
               _DATA),
        Metric("process_cpu_seconds_total", COUNTER, "Processor time, by worker.", ("worker",)),
        Metric("process_resident_memory_bytes", GAUGE, "Memory in use, by worker.", ("worker",)),
        Metric("process_start_time_seconds", GAUGE, "When the process began, by worker.",
               ("worker",)),
    )
}  # fmt: skip
