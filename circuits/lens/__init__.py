"""What a network knows at each layer, what each part adds to its logits, and what its weights say by themselves."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
