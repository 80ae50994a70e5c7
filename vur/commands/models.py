"""`vur models`: the model store."""

import argparse

from vur.errors import VurError
from vur.text import translate

PURPOSE = "list the saved models, or show one"
ORDER = 80


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur models`."""
    command.add_argument("action", nargs="?", choices=["show"], help="show one model's card")
    command.add_argument("tag", nargs="?", help="name or name:version")


def run(options: argparse.Namespace, language: str) -> int:
    """Print the table of saved models, or the card of one."""
    from vur.store.models.models import list_models, model_folder

    if options.action == "show":
        if not options.tag:
            raise VurError("store.no_model", tag="", known=", ".join(list_models()["tag"].head(10)) or "-")
        print((model_folder(options.tag) / "README.md").read_text(encoding="utf-8"))
        return 0
    table = list_models()
    if table.empty:
        print(translate("cli.models.none", language))
        return 0
    table["created"] = table["created"].astype(str).str[:16]
    print(table.drop(columns=["name", "version"]).to_string(index=False, float_format="{:.3f}".format))
    return 0
