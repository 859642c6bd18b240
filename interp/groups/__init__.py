"""Representations of finite groups that are given by their multiplication tables."""

from interp.groups.representations import Representations, representations_of

__all__ = ["Representations", "representations_of"]
