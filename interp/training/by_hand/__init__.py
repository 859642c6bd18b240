"""Gradients of the networks that are trained most, written out: what autograd computes, in fewer and larger operations."""

from interp.training.by_hand.find import ByHand, by_hand

__all__ = ["ByHand", "by_hand"]
