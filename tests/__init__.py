"""Tests. The suite is imported before torch, as by its own programs: it says how torch's threads wait and how MKL rounds."""

import interp as interp
