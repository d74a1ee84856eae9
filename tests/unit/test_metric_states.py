"""Every metric of torchmetrics goes on from a checkpoint within an epoch as if nothing had happened, bit for bit."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings

import pytest
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import Metric, MetricCollection, MetricTracker
from torchmetrics.aggregation import MaxMetric, MeanMetric, SumMetric
from torchmetrics.classification import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError
from torchmetrics.wrappers import (
    BinaryTargetTransformer,
    BootStrapper,
    ClasswiseWrapper,
    FeatureShare,
    LambdaInputTransformer,
    MinMaxMetric,
    MultioutputWrapper,
    MultitaskWrapper,
    Running,
)

import leyden as L
from leyden.metrics import Metrics

BATCHES, SAVED_AFTER = 4, 2
ABSTRACT = {"BaseAggregator", "Metric", "RetrievalMetric", "WrapperMetric", "MetricInputTransformer"}
CHOOSES_BY_TASK = "returns one of the Binary..., Multiclass... and Multilabel... classes"
CANNOT_BE_BUILT = {
    **dict.fromkeys(
        "AUROC Accuracy AveragePrecision CalibrationError CohenKappa ConfusionMatrix EER ExactMatch F1Score FBetaScore "
        "HammingDistance HingeLoss JaccardIndex LogAUC MatthewsCorrCoef NegativePredictiveValue Precision "
        "PrecisionAtFixedRecall PrecisionRecallCurve ROC Recall RecallAtFixedPrecision SensitivityAtSpecificity "
        "Specificity SpecificityAtSensitivity StatScores".split(),
        CHOOSES_BY_TASK,
    ),
    **dict.fromkeys("DeepNoiseSuppressionMeanOpinionScore".split(), "needs librosa and onnxruntime"),
    **dict.fromkeys("NonIntrusiveSpeechQualityAssessment".split(), "needs librosa"),
    **dict.fromkeys("PerceptualEvaluationSpeechQuality".split(), "needs pesq"),
    **dict.fromkeys("SpeechReverberationModulationEnergyRatio".split(), "needs gammatone"),
    **dict.fromkeys("ShortTimeObjectiveIntelligibility".split(), "needs pystoi"),
    **dict.fromkeys("ClusterAccuracy".split(), "needs torch_linear_assignment"),
    **dict.fromkeys("MeanAveragePrecision".split(), "needs pycocotools"),
    **dict.fromkeys("""ARNIQA CompleteIntersectionOverUnion DeepImageStructureAndTextureSimilarity
        DistanceIntersectionOverUnion GeneralizedIntersectionOverUnion IntersectionOverUnion
        LearnedPerceptualImagePatchSimilarity PerceptualPathLength""".split(), "needs torchvision"),
    **dict.fromkeys("CLIPImageQualityAssessment CLIPScore BERTScore InfoLM".split(), "needs transformers"),
    **dict.fromkeys("ROUGEScore".split(), "needs nltk"),
    **dict.fromkeys("VideoMultiMethodAssessmentFusion".split(), "needs vmaf-torch"),
}  # fmt: skip
"""Classes that are not tried, with the reason."""

REQUIRED = {
    "beta": 2.0, "num_classes": 3, "num_labels": 3, "num_groups": 2, "min_recall": 0.5, "min_precision": 0.5,
    "min_specificity": 0.5, "min_sensitivity": 0.5, "p": 2, "threshold": 0.5, "data_range": 1.0, "things": {0, 1},
    "stuffs": {2}, "fs": 8000, "mode": "nb", "personalized": False, "mouth_map": [0, 1],
    "metric_func": scale_invariant_signal_noise_ratio,
}  # fmt: skip


def classes():
    """All metrics of torchmetrics by name."""
    found = {}
    for module in pkgutil.walk_packages(torchmetrics.__path__, "torchmetrics."):
        if ".functional" in module.name or ".utilities" in module.name:
            continue
        for name, cls in vars(importlib.import_module(module.name)).items():
            own = inspect.isclass(cls) and cls.__module__ == module.name and not name.startswith("_")
            if own and issubclass(cls, Metric) and name not in ABSTRACT:
                found[name] = cls
    return found


def built(name, cls):
    """Build a metric with arguments for all that it needs."""
    if name in SPECIAL:
        return cls(**SPECIAL[name])
    signature = inspect.signature(cls.__init__).parameters.values()
    needed = [each.name for each in signature if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    arguments = {each: REQUIRED[each] for each in needed[1:]}
    if cls.__name__.startswith("Multiclass"):
        arguments["num_classes"] = 3
    return cls(**arguments)


SENTENCES = ["the cat sat on the mat", "a dog ran", "there is no cat here", "the dog sat down on a cat"]


def inputs():
    """Inputs of all kinds, drawn at random."""
    one, three = torch.rand(8), torch.rand(8, 3)
    image, other = torch.rand(2, 3, 48, 48), torch.rand(2, 3, 48, 48)
    words = [SENTENCES[index] for index in torch.randint(4, (3,))]
    boxes = torch.rand(3, 2) * 10
    boxes = torch.cat([boxes, boxes + 5], 1)
    found = {"boxes": boxes, "labels": torch.randint(2, (3,))}
    return {
        "class scores": (three.softmax(1), torch.randint(3, (8,))),
        "binary": (one, torch.randint(2, (8,))),
        "labels": (three, torch.randint(2, (8, 3))),
        "groups": (one, torch.randint(2, (8,)), torch.arange(8) % 2),
        "numbers": (one, torch.rand(8)),
        "rows": (three, torch.rand(8, 3)),
        "distributions": (three.softmax(1), torch.rand(8, 3).softmax(1)),
        "retrieval": (one, torch.arange(8) % 2, torch.arange(8) // 4),
        "clusters": (torch.randint(3, (24,)), torch.randint(3, (24,))),
        "embedded clusters": (torch.rand(24, 4), torch.arange(24) % 3),
        "value": (one,),
        "signals": (torch.randn(2, 200), torch.randn(2, 200)),
        "speakers": (torch.randn(2, 2, 200), torch.randn(2, 2, 200)),
        "complex signals": (torch.randn(2, 65, 20, 2), torch.randn(2, 65, 20, 2)),
        "images": (image, other),
        "large images": (torch.rand(1, 1, 180, 180), torch.rand(1, 1, 180, 180)),
        "image": (image,),
        "blocks": (torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)),
        "words": (words, words[::-1]),
        "references": (words, [[each] for each in words[::-1]]),
        "answers": (
            [{"prediction_text": words[0], "id": "a"}],
            [{"answers": {"answer_start": [0], "text": [words[1]]}, "id": "a"}],
        ),
        "tokens": (torch.randn(2, 5, 7), torch.randint(7, (2, 5))),
        "boxes": ([found | {"scores": torch.rand(3)}], [found]),
        "segments": (torch.randint(3, (1, 4, 4, 2)), torch.randint(3, (1, 4, 4, 2))),
        "masks": (torch.randint(2, (2, 3, 8, 8)), torch.randint(2, (2, 3, 8, 8))),
        "small masks": (torch.randint(2, (1, 3, 4, 4)), torch.randint(2, (1, 3, 4, 4))),
        "points": (torch.randn(2, 6, 3), torch.randn(2, 6, 3)),
        "ratings": (torch.randint(1, 4, (8, 3)),),
        "ensemble": (torch.randn(8, 3), torch.randn(8)),
        "vertices": (torch.randn(5, 4, 3), torch.randn(5, 4, 3)),
        "sharpened": (
            torch.rand(2, 3, 32, 32),
            {name: torch.rand(2, 3, size, size) for name, size in (("ms", 16), ("pan", 32), ("pan_lr", 16))},
        ),
        "image bytes": (torch.randint(255, (4, 3, 8, 8), dtype=torch.uint8), bool(torch.rand(()) < 0.5)),
        "tasks": ({"a": one, "b": one}, {"a": torch.randint(2, (8,)), "b": torch.rand(8)}),
    }


KINDS = {
    "value": ("CatMetric MaxMetric MinMetric RunningSum SumMetric"),
    "binary": (
        "BinaryAUROC BinaryAccuracy BinaryAveragePrecision BinaryCalibrationError BinaryCohenKappa "
        "BinaryConfusionMatrix BinaryEER BinaryF1Score BinaryFBetaScore BinaryHammingDistance BinaryHingeLoss "
        "BinaryJaccardIndex BinaryLogAUC BinaryMatthewsCorrCoef BinaryNegativePredictiveValue BinaryPrecision "
        "BinaryPrecisionAtFixedRecall BinaryPrecisionRecallCurve BinaryROC BinaryRecall "
        "BinaryRecallAtFixedPrecision BinarySensitivityAtSpecificity BinarySpecificity "
        "BinarySpecificityAtSensitivity BinaryStatScores CriticalSuccessIndex ExplainedVariance "
        "KendallRankCorrCoef LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanMetric "
        "MeanSquaredError MeanSquaredLogError MinkowskiDistance NormalizedRootMeanSquaredError "
        "PeakSignalNoiseRatio R2Score RelativeSquaredError RunningMean ScaleInvariantSignalDistortionRatio "
        "SignalDistortionRatio SignalNoiseRatio SymmetricMeanAbsolutePercentageError TweedieDevianceScore "
        "WeightedMeanAbsolutePercentageError"
    ),
    "rows": ("PermutationInvariantTraining"),
    "labels": (
        "CharErrorRate CosineSimilarity JensenShannonDivergence KLDivergence MultilabelAUROC "
        "MultilabelAccuracy MultilabelAveragePrecision MultilabelConfusionMatrix MultilabelCoverageError "
        "MultilabelEER MultilabelExactMatch MultilabelF1Score MultilabelFBetaScore MultilabelHammingDistance "
        "MultilabelJaccardIndex MultilabelLogAUC MultilabelMatthewsCorrCoef MultilabelNegativePredictiveValue "
        "MultilabelPrecision MultilabelPrecisionAtFixedRecall MultilabelPrecisionRecallCurve MultilabelROC "
        "MultilabelRankingAveragePrecision MultilabelRankingLoss MultilabelRecall "
        "MultilabelRecallAtFixedPrecision MultilabelSensitivityAtSpecificity MultilabelSpecificity "
        "MultilabelSpecificityAtSensitivity MultilabelStatScores SourceAggregatedSignalDistortionRatio"
    ),
    "numbers": ("ConcordanceCorrCoef PearsonCorrCoef ScaleInvariantSignalNoiseRatio SpearmanCorrCoef"),
    "complex signals": (
        "ComplexScaleInvariantSignalNoiseRatio ErrorRelativeGlobalDimensionlessSynthesis SpectralAngleMapper"
    ),
    "class scores": (
        "CalinskiHarabaszScore ContinuousRankedProbabilityScore CramersV DaviesBouldinScore DunnIndex "
        "MulticlassAUROC MulticlassAccuracy MulticlassAveragePrecision MulticlassCalibrationError "
        "MulticlassCohenKappa MulticlassConfusionMatrix MulticlassEER MulticlassExactMatch MulticlassF1Score "
        "MulticlassFBetaScore MulticlassHammingDistance MulticlassHingeLoss MulticlassJaccardIndex "
        "MulticlassLogAUC MulticlassMatthewsCorrCoef MulticlassNegativePredictiveValue MulticlassPrecision "
        "MulticlassPrecisionAtFixedRecall MulticlassPrecisionRecallCurve MulticlassROC MulticlassRecall "
        "MulticlassRecallAtFixedPrecision MulticlassSensitivityAtSpecificity MulticlassSpecificity "
        "MulticlassSpecificityAtSensitivity MulticlassStatScores PearsonsContingencyCoefficient TheilsU "
        "TschuprowsT"
    ),
    "groups": (
        "BinaryFairness BinaryGroupStatRates RetrievalAUROC RetrievalFallOut RetrievalHitRate RetrievalMAP "
        "RetrievalMRR RetrievalNormalizedDCG RetrievalPrecision RetrievalPrecisionRecallCurve "
        "RetrievalRPrecision RetrievalRecall RetrievalRecallAtFixedPrecision"
    ),
    "clusters": (
        "AdjustedMutualInfoScore AdjustedRandScore CompletenessScore FowlkesMallowsIndex HomogeneityScore "
        "MutualInfoScore NormalizedMutualInfoScore RandScore VMeasureScore"
    ),
    "segments": ("ModifiedPanopticQuality PanopticQuality"),
    "small masks": ("HausdorffDistance"),
    "images": (
        "RelativeAverageSpectralError RootMeanSquaredErrorUsingSlidingWindow "
        "SpatialCorrelationCoefficient SpectralDistortionIndex StructuralSimilarityIndexMeasure "
        "UniversalImageQualityIndex VisualInformationFidelity"
    ),
    "large images": ("MultiScaleStructuralSimilarityIndexMeasure PeakSignalNoiseRatioWithBlockedEffect"),
    "image": ("TotalVariation"),
    "speakers": ("DiceScore GeneralizedDiceScore LipVertexError MeanIoU ProcrustesDisparity"),
    "ratings": ("FleissKappa"),
    "words": (
        "BLEUScore CHRFScore EditDistance ExtendedEditDistance MatchErrorRate SacreBLEUScore "
        "TranslationEditRate WordErrorRate WordInfoLost WordInfoPreserved"
    ),
    "tokens": ("Perplexity"),
    "answers": ("SQuAD"),
    "image bytes": (
        "FrechetInceptionDistance InceptionScore KernelInceptionDistance MemorizationInformedFrechetInceptionDistance"
    ),
    "sharpened": ("QualityWithNoReference SpatialDistortionIndex"),
}
KIND = {name: kind for kind, names in KINDS.items() for name in names.split()}


class Pixels(nn.Module):
    """Stands for the network whose features are compared."""

    num_features = 6

    def forward(self, images):
        return images.float().flatten(1)[:, :6] / 255


def collection():
    """Metrics of which some share their states."""
    each = (MulticlassPrecision(3), MulticlassRecall(3), MulticlassF1Score(3), MulticlassAccuracy(3, average="micro"))
    return MetricCollection(list(each))


def tracker(metric):
    return MetricTracker(metric, maximize=False)


def frechet():
    return FrechetInceptionDistance(feature=Pixels())


WRAPPERS = {
    "MinMaxMetric": (lambda: MinMaxMetric(MeanSquaredError()), "numbers"),
    "Running": (lambda: Running(SumMetric(), window=2), "value"),
    "Running, of a state with a mean": (lambda: Running(MeanMetric(), window=3), "value"),
    "BootStrapper": (lambda: BootStrapper(MeanSquaredError(), num_bootstraps=3, raw=True), "numbers"),
    "ClasswiseWrapper": (lambda: ClasswiseWrapper(MulticlassAccuracy(3, average=None)), "class scores"),
    "MultioutputWrapper": (lambda: MultioutputWrapper(MeanSquaredError(), 3), "rows"),
    "MultitaskWrapper": (lambda: MultitaskWrapper({"a": BinaryAccuracy(), "b": MeanSquaredError()}), "tasks"),
    "LambdaInputTransformer": (lambda: LambdaInputTransformer(MeanSquaredError(), torch.neg), "numbers"),
    "BinaryTargetTransformer": (lambda: BinaryTargetTransformer(BinaryAccuracy(), threshold=0.5), "numbers"),
    "CompositionalMetric": (lambda: MeanMetric() + 2 * MaxMetric(), "value"),
    "FeatureShare": (lambda: FeatureShare({"a": frechet(), "b": frechet()}), "image bytes"),
    "MetricTracker": (lambda: tracker(MeanSquaredError()), "numbers"),
    "MetricTracker, of a wrapper": (lambda: tracker(MinMaxMetric(MeanSquaredError())), "numbers"),
    "MetricTracker, of a collection": (
        lambda: MetricTracker(MetricCollection([MeanSquaredError(), MeanAbsoluteError()]), maximize=[False, False]),
        "numbers",
    ),
    "MetricCollection": (collection, "class scores"),
    "MetricCollection, computed at the end only": (collection, "class scores"),
    "MetricCollection, of wrappers": (
        lambda: MetricCollection({"a": MinMaxMetric(MeanSquaredError()), "b": Running(MeanAbsoluteError(), 2)}),
        "numbers",
    ),
    "MinMaxMetric, of a wrapper": (lambda: MinMaxMetric(Running(SumMetric(), window=2)), "value"),
}  # fmt: skip
SPECIAL = {
    "FrechetInceptionDistance": {"feature": Pixels()},
    "KernelInceptionDistance": {"feature": Pixels(), "subset_size": 3},
    "MemorizationInformedFrechetInceptionDistance": {"feature": Pixels()},
    "InceptionScore": {"feature": Pixels(), "splits": 1},
    "SignalDistortionRatio": {"filter_length": 16, "load_diag": 1.0},
}


def tried():
    """Everything that is tried, by name: what makes it, and the kind of its inputs."""
    plain = {name: cls for name, cls in classes().items() if name in KIND}
    return {name: (lambda name=name, cls=cls: built(name, cls), KIND[name]) for name, cls in plain.items()} | WRAPPERS


class Measured(L.LightningModule):
    """Updates every metric on every batch, and computes them at the end of the epoch; wrappers every time."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.kinds = {name: kind for name, (_, kind) in tried().items()}
        self.names = list(self.kinds)
        self.metrics = nn.ModuleList([make() for make, _ in tried().values()])
        self.computed = {}

    def training_step(self, batch, batch_idx):
        torch.manual_seed(100 + batch_idx)
        drawn = inputs()
        for name, metric in zip(self.names, self.metrics, strict=True):
            given = drawn[self.kinds[name]]
            if name == "InceptionScore":
                given = given[:1]
            elif self.kinds[name] == "image bytes":
                given = given[0], batch_idx % 2 == 0
            if isinstance(metric, MetricTracker) and batch_idx % 2 == 0:
                metric.increment()
            metric.update(*given)
            if name in WRAPPERS and "only" not in name and self.kinds[name] != "image bytes":
                metric.compute()
        return self.layer(batch).sum()

    def on_train_epoch_end(self):
        for name, metric in zip(self.names, self.metrics, strict=True):
            self.computed[name] = [metric.compute_all() if isinstance(metric, MetricTracker) else metric.compute()]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Saver(L.Callback):
    """Saves within the epoch."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx + 1 == SAVED_AFTER:
            trainer.save_checkpoint(self.path)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What all metrics have computed in the undisturbed run, and in one resumed in the middle of its epoch."""
    folder = tmp_path_factory.mktemp("metrics")
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metrics about their inputs
        for resume_from in (None, folder / "saved.ckpt"):
            module = Measured()
            trainer = L.Trainer(
                max_epochs=1,
                default_root_dir=folder,
                logger=False,
                callbacks=[Saver(folder / "saved.ckpt")],
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, DataLoader(torch.ones(BATCHES, 1)), ckpt_path=resume_from)
            found.append(module.computed)
    return found


def same(one, two):
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one.nan_to_num(nan=7e7), two.nan_to_num(nan=7e7))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


@pytest.mark.parametrize("name", tried())
def test_a_metric_goes_on_within_an_epoch_as_if_nothing_had_happened(name, computed):
    undisturbed, resumed = computed

    assert same(undisturbed[name], resumed[name]), (undisturbed[name], resumed[name])


def test_every_class_of_torchmetrics_is_tried_or_has_a_reason_not_to_be():
    names = {name.split(",")[0] for name in tried()} | CANNOT_BE_BUILT.keys()

    assert classes().keys() - names == set()
    assert CANNOT_BE_BUILT.keys() <= classes().keys()


def test_another_option_of_a_metric_is_not_overwritten_by_a_checkpoint(tmp_path):
    module = nn.ModuleList([MinMaxMetric(BinaryAccuracy(threshold=0.2))])
    metrics = Metrics()
    metrics.note_objects(module)
    module[0].update(torch.tensor([0.3]), torch.tensor([1]))
    module[0].compute()
    changed = nn.ModuleList([MinMaxMetric(BinaryAccuracy(threshold=0.9))])

    Metrics().load_state_dict(metrics.state_dict(module), changed)

    assert changed[0]._base_metric.threshold == 0.9
    assert changed[0].max_val == 1
