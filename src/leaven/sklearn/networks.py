"""The methods of the one loop, a class each.

All take the parameters of `NetworkClassifier`. The settings of those that are a row of choices are
`teacher`, `align`, `target`, `accept`, `distance`, `weight`, `ramp` and `fairness`.
"""

from __future__ import annotations

from leaven.sklearn.network import NetworkClassifier

__all__ = [
    "AdaBNClassifier",
    "AdaMatchClassifier",
    "CORALClassifier",
    "CRMatchClassifier",
    "CoMatchClassifier",
    "DANNClassifier",
    "DashClassifier",
    "FixMatchClassifier",
    "FlexMatchClassifier",
    "FreeMatchClassifier",
    "GANClassifier",
    "GRANDClassifier",
    "ICTClassifier",
    "MeanTeacherClassifier",
    "MetaPseudoLabelsClassifier",
    "MixMatchClassifier",
    "NoisyStudentClassifier",
    "PiModelClassifier",
    "PseudoLabelClassifier",
    "ReMixMatchClassifier",
    "ReconstructionClassifier",
    "SimMatchClassifier",
    "SoftMatchClassifier",
    "TemporalEnsemblingClassifier",
    "UDAClassifier",
    "VAEClassifier",
    "VATClassifier",
]


class AdaBNClassifier(NetworkClassifier):
    """Trained on the labelled records, normalised by the unlabelled ones.

    Li et al. 2016, arXiv:1603.04779. It has no settings.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "adabn"


class AdaMatchClassifier(NetworkClassifier):
    """Thresholds relative to the confidence on labelled records; aligned guesses.

    Berthelot et al. 2022, arXiv:2106.04732.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "adamatch"


class CoMatchClassifier(NetworkClassifier):
    """Guesses smoothed by a memory, and a contrast of their graph with the features'.

    Li et al. 2021, arXiv:2011.11183. Settings: weight, contrast, threshold, smooth, edge,
    temperature, batches, size.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "comatch"


class CORALClassifier(NetworkClassifier):
    """Features of labelled and unlabelled records get the same covariance.

    Sun & Saenko 2016, arXiv:1607.01719. Settings: weight, ramp.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "coral"


class CRMatchClassifier(NetworkClassifier):
    """The same answer and other features for strong views; rotation of pictures.

    Fan et al. 2021, arXiv:2112.05825. Settings: weight, apart, rotation, threshold, size.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "crmatch"


class DANNClassifier(NetworkClassifier):
    """Features that do not tell labelled from unlabelled records.

    Ganin et al. 2016, arXiv:1505.07818. Settings: weight, steepness, hidden.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "dann"


class DashClassifier(NetworkClassifier):
    """Accepts guesses whose loss is under a bound that falls over the training.

    Xu et al. 2021, arXiv:2109.00650.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "dash"


class FixMatchClassifier(NetworkClassifier):
    """A confident answer on a weak view becomes the label of a strong one.

    Sohn et al. 2020, arXiv:2001.07685.

    Parameters and attributes are those of `NetworkClassifier`.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[-2.0], [2.0]], 100, 0)
    >>> y = np.full(200, -1)
    >>> y[[0, 1, 100, 101]] = [0, 0, 1, 1]
    >>> model = FixMatchClassifier(steps=30, random_state=0).fit(X, y)
    >>> model.predict([[-2, -2], [2, 2]]), model.n_iter_
    (array([0, 1]), 30)
    """

    method = "fixmatch"


class FlexMatchClassifier(NetworkClassifier):
    """FixMatch with a threshold a class, by how many confident guesses it has.

    Zhang et al. 2021, arXiv:2110.08263.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "flexmatch"


class FreeMatchClassifier(NetworkClassifier):
    """FixMatch with thresholds that follow the network's confidence, and fairness.

    Wang et al. 2023, arXiv:2205.07246.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "freematch"


class GANClassifier(NetworkClassifier):
    """The classifier tells generated records from real ones.

    Salimans et al. 2016, arXiv:1606.03498. Settings: weight, size.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "gan"


class GRANDClassifier(NetworkClassifier):
    """Several strong views agree with the sharpened mean of such views.

    Feng et al. 2020, arXiv:2005.11079. Made for given graphs, which `leaven fit` reads; here it
    is its row of choices on records of any kind.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "grand"


class ICTClassifier(NetworkClassifier):
    """Mixtures of records are answered by mixtures of answers.

    Verma et al. 2019, arXiv:1903.03825. Settings: weight, alpha, mixing, ramp.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "ict"


class MeanTeacherClassifier(NetworkClassifier):
    """Agreement with an average of the network's past weights.

    Tarvainen & Valpola 2017, arXiv:1703.01780.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "mean-teacher"


class MetaPseudoLabelsClassifier(NetworkClassifier):
    """A teacher that learns how much its pseudo-labels help the student.

    Pham et al. 2021, arXiv:2003.10580. Settings: uda, threshold, temperature, feedback,
    inner_rate, decay, warm_up, tuned.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "meta-pseudo-labels"


class MixMatchClassifier(NetworkClassifier):
    """Sharpened guesses, mixed with the labelled records.

    Berthelot et al. 2019, arXiv:1905.02249. Settings: weight, views, temperature, alpha, ramp.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "mixmatch"


class NoisyStudentClassifier(NetworkClassifier):
    """Rounds of a student under noise, with its former self as teacher.

    Xie et al. 2020, arXiv:1911.04252.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "noisy-student"


class PiModelClassifier(NetworkClassifier):
    """Agreement with oneself on another weak view.

    Laine & Aila 2017, arXiv:1610.02242.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "pi-model"


class PseudoLabelClassifier(NetworkClassifier):
    """The network's own confident answers as labels.

    Lee 2013, ICML workshop on challenges in representation learning.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "pseudo-label"


class ReconstructionClassifier(NetworkClassifier):
    """Records denoised from their features and from the class probabilities.

    Rasmus et al. 2015, arXiv:1507.02672. Settings: weight, top.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "reconstruction"


class ReMixMatchClassifier(NetworkClassifier):
    """Anchored strong views with aligned guesses, all mixed; rotation of pictures.

    Berthelot et al. 2020, arXiv:1911.09785. Settings: weight, unmixed, rotation, views,
    labelled_view, temperature, alpha, ramp.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "remixmatch"


class SimMatchClassifier(NetworkClassifier):
    """Agreement on classes, and on which labelled records a record resembles.

    Zheng et al. 2022, arXiv:2203.06915. Settings: weight, instance, threshold, smooth,
    temperature, decay, size.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "simmatch"


class SoftMatchClassifier(NetworkClassifier):
    """Gaussian weights of the confidence instead of a threshold.

    Chen et al. 2023, arXiv:2301.10921.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "softmatch"


class TemporalEnsemblingClassifier(NetworkClassifier):
    """Agreement with the mean of one's past answers to a record.

    Laine & Aila 2017, arXiv:1610.02242.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "temporal-ensembling"


class UDAClassifier(NetworkClassifier):
    """Sharpened answers on weak views as targets of strong views.

    Xie et al. 2020, arXiv:1904.12848.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "uda"


class VAEClassifier(NetworkClassifier):
    """A generative model of records and classes (M2), summed over the classes.

    Kingma et al. 2014, arXiv:1406.5298. Settings: weight, size, most.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "vae"


class VATClassifier(NetworkClassifier):
    """The same answer under the small change that would move it most.

    Miyato et al. 2018, arXiv:1704.03976. Settings: weight, epsilon, xi, iterations, entropy.

    Parameters and attributes are those of `NetworkClassifier`.
    """

    method = "vat"
