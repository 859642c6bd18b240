"""The suite's own quantities: plugins like anyone's, registered in ``interp.quantities``."""
