"""The commands of ``interp``, one a module; `interp.cli.commands.app` puts them together."""
