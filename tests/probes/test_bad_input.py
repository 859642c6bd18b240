"""Functions of tensors accept arrays and lists as well, and refuse other kinds with a hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from interp import InterpError, Subject
from interp.errors import MissingCapability
from interp.hooked import CPPNConfig, HookedCPPN
from interp.tasks import GroupComposition, SparseParity, ToyAddition
from probes import (
    complexity,
    cyclic_tables,
    effective_theory,
    feature_maps,
    fourier,
    neurons,
    parallelogram_sets,
    parallelograms,
    spectra,
)
from probes.deduction import ideal_of_products
from probes.density import density
from probes.dimension import effective_dimension
from probes.embedding_views import aligned
from probes.entropy import weight_entropy
from probes.norms import spectral_norm, weight_norms
from probes.similarity.cka import cka
from probes.similarity.mutual_knn import mutual_knn
from probes.similarity.rsa import rsa
from probes.sparsity import activation_sparsity
from probes.stability import softmax_collapse
from probes.tsne import tsne
from tests.models import subject

SAMPLES, TRAINED = parallelograms.samples_of(ToyAddition(7))
TABLE = np.random.default_rng(0).normal(size=(7, 7))
CUBE = np.random.default_rng(1).normal(size=(7, 7, 7))
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "spectrum": (fourier.spectrum, TABLE), "shares": (fourier.shares, TABLE[0] ** 2), "gini": (fourier.gini, TABLE[0] ** 2),
    "key_frequencies": (fourier.key_frequencies, TABLE[0] ** 2), "spectrum_2d": (fourier.spectrum_2d, TABLE),
    "sum_spectrum": (fourier.sum_spectrum, TABLE), "neuron_shares": (fourier.neuron_shares, CUBE),
    "fit_neurons": (lambda x: torch.tensor(fourier.fit_neurons(x)["share"].to_numpy()), CUBE),
    "trilinear_spectrum": (fourier.trilinear_spectrum, CUBE), "logit_shares": (fourier.logit_shares, CUBE),
    "logit_frequencies": (fourier.logit_frequencies, CUBE), "effective_rank": (spectra.effective_rank, TABLE[0]),
    "participation_ratio": (spectra.participation_ratio, TABLE[0]), "effective_dimension": (effective_dimension, TABLE),
    "pca": (lambda x: spectra.pca(x).explained, TABLE), "svd": (lambda x: spectra.svd(x).singular_values, TABLE),
    "weight_entropy": (weight_entropy, TABLE), "spectral_norm": (spectral_norm, TABLE),
    "weight_norms": (lambda x: weight_norms({"W": x})["all"], TABLE),
    "activation_sparsity": (lambda x: activation_sparsity(x, 0.1), TABLE), "active": (neurons.active, TABLE),
    "kl_divergence": (lambda x: complexity.kl_divergence(x, x), TABLE),
    "density": (lambda x: density(x, [-1.0, 0.0, 1.0]), TABLE),
    "softmax_collapse": (lambda x: softmax_collapse(x, [0] * 7), TABLE), "aligned": (lambda x: aligned(x, x), TABLE),
    "tsne": (lambda x: tsne(x, 2.0), TABLE), "normalised": (parallelograms.normalised, TABLE),
    "parallelograms": (lambda x: parallelograms.parallelograms(x, SAMPLES, TRAINED), TABLE),
    "effective_loss": (lambda x: effective_theory.effective_loss(x, SAMPLES, TRAINED), TABLE),
    "effective_flow": (lambda x: effective_theory.effective_flow(x, SAMPLES, TRAINED, [0.0, 1.0]), TABLE),
    "standardised": (feature_maps.standardised, TABLE), "distinct": (feature_maps.distinct, TABLE),
    "cka": (lambda x: cka(x, CUBE[0]), TABLE), "rsa": (lambda x: rsa(x, CUBE[0]), TABLE),
    "mutual_knn": (lambda x: mutual_knn(x, CUBE[0], k=2), TABLE),
    "reflections": (feature_maps.reflection_correlations, CUBE), "rank": (feature_maps.standardised_rank, TABLE),
}  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.allclose(one.double(), other.double(), rtol=0, atol=1e-5)
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other if not isinstance(one, float) else one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_and_lists_are_tensors(name: str) -> None:
    """An array gives exactly what its tensor gives; a list the same in float32."""
    function, values = FUNCTIONS[name]
    expected = function(torch.as_tensor(values))
    assert same(function(values), expected)
    if name != "tsne":  # which amplifies rounding
        assert same(function(values.tolist()), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_kinds(name: str) -> None:
    """A model, a subject, a class, a text, nothing: the message says what to take of them."""
    function, _ = FUNCTIONS[name]
    one = subject("plain")
    for given in (one, one.model, HookedCPPN, "W_E", None, 3.0, {"W": torch.ones(7, 7)}):
        with pytest.raises(InterpError, match=r"must be a tensor.*got (a|the class) \w+.*model.W_E"):
            function(given)
    with pytest.raises(InterpError, match="must be a tensor of numbers"):
        function([["a"], ["b"]])


def test_shapes_that_do_not_fit() -> None:
    """Named with the shape that came, in place of an error of torch."""
    for call, message in (
        (lambda: parallelograms.parallelograms(TABLE[:3], SAMPLES, TRAINED), r"\[7, dim\], got \[3, 7\]"),
        (lambda: parallelograms.normalised(TABLE[0]), r"table \[rows, columns\], got the shape \[7\]"),
        (lambda: spectral_norm(CUBE), r"got shape \[7, 7, 7\]"), (lambda: density(TABLE, [0.0]), "two edges"),
        (lambda: complexity.random_masks(10, 1.5, 2, 0), "share"), (lambda: weight_norms({}), "mapping"),
        (lambda: weight_norms(subject("plain").model), "named_parameters"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            call()


@pytest.mark.parametrize("embeddings", [TABLE[:6], np.vstack([TABLE, TABLE[:1]]), TABLE[0]])
def test_rows_that_are_not_one_per_symbol(embeddings: np.ndarray) -> None:
    """A table with a row for ``=`` as well would enter the scale, Z0, with it."""
    for call in (
        lambda: parallelograms.parallelograms(embeddings, SAMPLES, TRAINED),
        lambda: effective_theory.effective_loss(embeddings, SAMPLES, TRAINED),
        lambda: effective_theory.effective_flow(embeddings, SAMPLES, TRAINED, [0.0, 1.0]),
        lambda: parallelogram_sets.held(embeddings, SAMPLES),
    ):
        with pytest.raises(InterpError, match=r"embeddings need the shape \[7, dim\]"):
            call()


@pytest.mark.parametrize("trained", [TRAINED[:3], [0, 2, 5], torch.arange(len(TRAINED)), TRAINED.double()])
def test_train_sets_that_are_not_masks(trained: Any) -> None:
    products, _ = parallelograms.samples_of(GroupComposition("Z_7"), product=True)
    for call in (
        lambda: parallelograms.parallelograms(TABLE, SAMPLES, trained),
        lambda: parallelograms.equations(SAMPLES, trained),
        lambda: effective_theory.effective_loss(TABLE, SAMPLES, trained),
        lambda: effective_theory.grokking_rate(SAMPLES, trained),
        lambda: ideal_of_products(products, trained),
    ):
        with pytest.raises(InterpError, match=r"trained must be a boolean mask \[(28|49)\], got \[\d+\]"):
            call()


def test_embeddings_that_do_not_flow() -> None:
    for embeddings in (np.zeros((7, 2)), np.full((7, 2), np.nan), np.full((7, 2), np.inf)):
        with pytest.raises(InterpError, match="do not flow"):
            effective_theory.effective_flow(embeddings, SAMPLES, TRAINED, [0.0, 1.0])


def test_networks_and_subjects() -> None:
    """Feature maps of a network or a Subject of it; tables of a Subject; anything else says what is needed."""
    cppn = HookedCPPN(CPPNConfig("2;gaussian:2,sin:1")).double().init_weights(0)
    assert torch.equal(feature_maps.of(Subject("image", cppn), 8).maps, feature_maps.of(cppn, 8).maps)
    for given, message in (
        (subject("plain"), "image network"), (subject("plain").model, "image network"), ("a.npz", "load"), (None, "needed"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            feature_maps.of(given, 8)
    for function in (cyclic_tables.logit_table, cyclic_tables.embedding_tables):
        for given in (subject("plain").model, "a.pt", 3):
            with pytest.raises(InterpError):
                function(given)
    for function in (cyclic_tables.rows, cyclic_tables.columns):
        with pytest.raises(MissingCapability, match="Fourier"):
            function(SparseParity(n=6, k=2, n_train=9, n_test=1))
