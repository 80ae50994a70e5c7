"""The commands of `vur`, one file each.

`vur/commands/what_if.py` is `vur what-if`; a file that starts with an underscore is shared code, not a command.
A command needs no entry anywhere else. Its file defines

- `PURPOSE`: one line for `vur --help`;
- `ORDER`: its place in that list (optional; a command without one comes last);
- `EXTRA`: the extra of the package that it needs (optional), such as `serve`; without it the command is refused;
- `add_arguments(command)`: adds its options to an `argparse.ArgumentParser`;
- `run(options, language)`: runs it and returns the exit code. `VurError` becomes a three-line message and exit code 1.

`vur --help` imports every file: whatever is heavier than the standard library and `vur.text` is imported inside
functions.
"""
