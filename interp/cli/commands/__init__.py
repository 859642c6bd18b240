"""The commands of ``interp``, one a module; `interp.cli.app` puts them together."""
