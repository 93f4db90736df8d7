"""Metrics of separations and statistics of likelihoods, in numpy."""

from tfsep.metrics.bss_eval import bss_eval
from tfsep.metrics.likelihood import accuracy, accuracy_per_source, auroc, confusion
from tfsep.metrics.si_sdr import si_sdr, si_sdri

__all__ = ["accuracy", "accuracy_per_source", "auroc", "bss_eval", "confusion", "si_sdr", "si_sdri"]
