"""Search spaces and the wishes for an optimisation: what is understood, and what is said about what is not."""

import dataclasses
import math

import pytest
from pydantic import TypeAdapter

from vur.errors import VurError
from vur.forecasters.registry import REGISTRY, Algorithm, Parameter, algorithm, register
from vur.stages.model.search_space import (
    Dimension,
    OptimizeSpec,
    SearchSpace,
    optimize_request,
    parameter_name,
    say_remark,
    tunable_algorithms,
    usable_space,
)

# The body of the optimisation request in the platform's API description, word for word.
DOCUMENT = {
    "method": "bayesian",
    "iterations": 50,
    "search_space": {
        "learning_rate": {"type": "float", "min": 0.0001, "max": 0.1},
        "batch_size": {"type": "int", "choices": [16, 32, 64, 128]},
        "hidden_units": {"type": "int", "min": 10, "max": 200},
    },
    "objective": "minimize",
    "metric": "val_rmse",
}
# And the section of the model's configuration.
SECTION = {"enabled": True, "method": "bayesian", "iterations": 50, "metric": "rmse"}


@pytest.fixture
def network():
    """A registered algorithm with the parameters of a small recurrent network."""
    parameters = {
        "learning_rate": Parameter("float", 0.001, "m", min=1e-6, max=1),
        "batch_size": Parameter("int", 32, "m", min=1, max=4096),
        "units": Parameter("int", 50, "m", min=1, max=1024),
        "layers": Parameter("json", None, "m"),
        "stateful": Parameter("bool", False, "m"),
        "shape": Parameter("list[int]", [8], "m", min=1, max=64),
        "cell": Parameter("str", "lstm", "m", choices=("lstm", "gru")),
    }
    register(Algorithm("tiny_network", "Tiny network", "deep_learning", "global", 9.0, "nowhere:Nothing", parameters))
    yield "tiny_network"
    REGISTRY.pop("tiny_network")


def refused(call, *parts: str) -> VurError:
    """The `VurError` of `call`, whose English text has all `parts` and whose Portuguese text is complete."""
    with pytest.raises(VurError) as caught:
        call()
    for part in parts:
        assert part in caught.value.text(), caught.value.text()
    portuguese = caught.value.text("pt-BR")
    assert portuguese != caught.value.text() and "{" not in portuguese.replace('{"', "")
    return caught.value


# --- the document's JSON ---


def test_the_documented_request_is_accepted_literally(network):
    spec = optimize_request(DOCUMENT, network)
    assert (spec.method, spec.iterations, spec.metric, spec.algorithms) == ("bayesian", 50, "rmse", (network,))
    space = spec.space(network)
    assert {name: (d.type, d.min, d.max, d.choices) for name, d in space.dimensions.items()} == {
        "batch_size": ("choices", None, None, (16, 32, 64, 128)),
        "learning_rate": ("float", 0.0001, 0.1, ()),
        "units": ("int", 10, 200, ()),
    }


def test_the_documents_request_for_boosted_trees():
    content = DOCUMENT | {
        "search_space": {
            "learning_rate": {"type": "float", "min": 0.001, "max": 0.1},
            "num_leaves": {"type": "int", "choices": [7, 15]},
            "n_estimators": {"type": "int", "min": 10, "max": 200},
        }
    }
    assert list(optimize_request(content, "lightgbm").space("lightgbm").dimensions) == [
        "learning_rate",
        "leaves",
        "rounds",
    ]


def test_the_documents_section_and_switched_off():
    assert optimize_request(SECTION | {"search_space": {"alpha": {"min": 1, "max": 2}}}, "ridge").iterations == 50
    assert optimize_request(SECTION | {"enabled": False}, "naive").iterations == 0


def test_r2_is_maximised_and_errors_minimised():
    space = {"search_space": {"alpha": {"choices": [1]}}}
    assert optimize_request({"metric": "val_r2", "objective": "maximize"} | space, "ridge").metric == "r2"
    refused(
        lambda: optimize_request({"metric": "val_r2", "objective": "minimize"} | space, "ridge"),
        "'minimize'",
        "'maximize'",
    )
    refused(
        lambda: optimize_request({"metric": "rmse", "objective": "maximize"} | space, "ridge"),
        "'maximize'",
        "'minimize'",
    )
    refused(lambda: optimize_request(space | {"pruner": "median"}, "ridge"), "'pruner'", "search_space")


# --- what is wrong with a space ---


@pytest.mark.parametrize(
    "content, parts",
    [
        ({}, ["is empty", "leaves"]),
        (None, ["is empty"]),
        (
            {"lerning_rate": {"min": 0.01, "max": 0.1}},
            ["'lightgbm'", "'lerning_rate'", "parameters are: learning_rate", "min_leaf"],
        ),
        ({"batch_size": {"choices": [1]}}, ["'batch_size'", "learning_rate"]),
        ({"leaves": [4, 8]}, ["'leaves'", "[4, 8]", "choices"]),
        ({"leaves": {"low": 4, "high": 8}}, ["'leaves'", "high, low", "min"]),
        ({"leaves": {"type": "float", "min": 4, "max": 8}}, ["'leaves'", "'float'", "expected int"]),
        ({"leaves": {"type": ["int"], "min": 4, "max": 8}}, ["'leaves'", "['int']", "expected int"]),
        ({"leaves": {"min": 4}}, ["'leaves'", "has min", "both"]),
        ({"leaves": {}}, ["'leaves'", "has -"]),
        ({"leaves": {"min": 4, "max": 8, "choices": [5]}}, ["choices, max, min"]),
        ({"leaves": {"choices": [5, 7], "log": True}}, ["choices, log"]),
        ({"leaves": {"min": 4, "max": 8, "log": "yes"}}, ["'leaves'"]),
        ({"leaves": {"min": 40, "max": 8}}, ["'leaves'", "from 40 to 8", "minimum is above"]),
        ({"leaves": {"min": 4.5, "max": 8}}, ["4.5", "int from 2 to 1024"]),
        ({"leaves": {"min": 2000, "max": 5000}}, ["2000", "int from 2 to 1024"]),
        ({"leaves": {"min": "4", "max": 8}}, ["'4'", "int from 2"]),
        ({"leaves": {"min": True, "max": 8}}, ["True", "int from 2"]),
        ({"l2": {"min": float("nan"), "max": 8}}, ["nan", "float from 0"]),
        ({"l2": {"min": 0, "max": 8, "log": True}}, ["'l2'", "by factors", "at 0"]),
        ({"leaves": {"choices": []}}, ["'leaves'", "[]"]),
        ({"leaves": {"choices": "15"}}, ["'15'", "list"]),
        ({"leaves": {"choices": [0, 1]}}, ["is 0;", "int from 2 to 1024"]),
        ({"objective": {"choices": ["l9"]}}, ["'objective'", "'l9'", "huber"]),
        ({"objective": {"min": 0, "max": 1}}, ["'objective'", "cannot be searched in a range"]),
        ({"leaves": {"choices": [15]}, "num_leaves": {"choices": [31]}}, ["twice", "'num_leaves'"]),
    ],
)
def test_every_mistake_in_a_space_is_reported(content, parts):
    refused(lambda: SearchSpace.from_dict("lightgbm", content), "'lightgbm'", *parts)


# --- what an algorithm can use of a space ---


def usable(id: str, content: dict, given: dict | None = None) -> tuple[dict, str]:
    dimensions, remarks = usable_space(id, content, given)
    assert all(say_remark(remark, "pt-BR") != say_remark(remark, "en") for remark in remarks)
    return dimensions, " ".join(map(say_remark, remarks))


@pytest.mark.parametrize(
    "content, searched, parts",
    [
        (
            DOCUMENT["search_space"],
            {"learning_rate": Dimension("float", 0.0001, 0.1)},
            ["no such parameter: batch_size, hidden_units", "rounds, learning_rate"],
        ),
        (
            {"leaves": {"choices": [7]}, "lerning_rate": {"min": 0.01, "max": 0.1}},
            {"leaves": Dimension("choices", choices=(7,))},
            ["lerning_rate (learning_rate?)"],
        ),
        ({"leaves": {"min": 4, "max": 5000}}, {"leaves": Dimension("int", 4, 1024)}, ["4 to 1024", "4 to 5000"]),
        ({"learning_rate": {"min": 0, "max": 9}}, {"learning_rate": Dimension("float", 1e-6, 1)}, ["from 1e-06 to 1"]),
        ({"leaves": {"choices": [15, 1]}}, {"leaves": Dimension("choices", choices=(15,))}, ["without 1", "from 2"]),
        (
            {"objective": {"choices": ["l1", "l9"]}},
            {"objective": Dimension("choices", choices=("l1",))},
            ["without l9"],
        ),
        (
            {"leaves": {"choices": [7]}, "objective": {"min": 0, "max": 1}},
            {"leaves": Dimension("choices", choices=(7,))},
            ["objective is not searched", "cannot be searched in a range"],
        ),
    ],
)
def test_what_an_algorithm_can_use_is_searched_and_the_rest_is_named(content, searched, parts):
    dimensions, said = usable("lightgbm", content)
    assert dimensions == searched and all(part in said for part in parts), said


@pytest.mark.parametrize("id", ["arima", "random_forest", "ets", "prophet", "ridge", "sarimax"])
def test_a_space_of_which_nothing_can_be_used_names_all_parameters_at_once(id):
    names = list(algorithm(id).parameters)
    refused(lambda: usable_space(id, DOCUMENT["search_space"]), "learning_rate, batch_size, hidden_units", *names)
    refused(lambda: OptimizeSpec(9, search_space={id: DOCUMENT["search_space"]}), "hidden_units", *names)


def test_entries_that_can_mean_nothing_are_refused_beside_usable_ones():
    good = {"learning_rate": {"min": 0.01, "max": 0.1}}
    for wrong in ({"min": 9, "max": 3}, {"low": 1}, {"min": 3}, {"choices": []}):
        refused(lambda entry=wrong: usable_space("lightgbm", good | {"leaves": entry}), "'leaves'")


def test_hidden_units_are_the_units_of_every_layer_of_an_lstm():
    space = OptimizeSpec(9, search_space={"lstm": DOCUMENT["search_space"]}).space("lstm", {"units": [32, 32]})
    assert space.read({"units": 57, "learning_rate": 0.01, "batch_size": 64})["units"] == [57, 57]
    assert space.raw({"units": [57, 57], "learning_rate": 0.01, "batch_size": 64})["units"] == 57
    assert space.raw({"units": [57, 8], "learning_rate": 0.01, "batch_size": 64}) is None
    lists = SearchSpace.from_dict("lstm", {"units": {"choices": [[16], [32, 32]]}})
    assert lists.read({"units": "[32, 32]"}) == {"units": [32, 32]}


def test_the_numbers_of_an_order_are_searched_by_their_own_names():
    space = SearchSpace.from_dict("arima", {"p": {"type": "int", "min": 0, "max": 3}, "Q": {"choices": [0, 1]}})
    base = {"order": [1, 1, 1]}
    assert space.defaults(base) == {"p": 1, "Q": 1}
    assert space.combined(base, {"p": 3, "Q": 0}) == {"order": [3, 1, 1], "seasonal_order": [0, 1, 0]}
    assert SearchSpace.from_dict("sarimax", {"p": {"choices": [1]}}).defaults({}) == {"p": None}
    refused(lambda: SearchSpace.from_dict("arima", {"order": {"choices": [[1, 0, 0]]}, "p": {"choices": [1]}}), "twice")
    refused(lambda: SearchSpace.from_dict("arima", {"p": {"min": 11, "max": 12}}), "int from 0 to 10")


def test_a_network_without_hidden_units_searches_the_rest():
    flat = {"architecture": {"layers": [{"type": "flatten"}, {"type": "dense", "units": 1}]}}
    dimensions, said = usable("network", DOCUMENT["search_space"], flat)
    assert list(dimensions) == ["batch_size", "learning_rate"] and "hidden_units is not searched" in said
    own = {"architecture": {"layers": [{"type": "gru", "units": 4}, {"type": "dense", "units": 1}]}}
    assert list(usable("network", DOCUMENT["search_space"], own)[0]) == ["batch_size", "hidden_units", "learning_rate"]


def test_a_space_for_auto_serves_every_algorithm_that_has_its_parameters():
    spec = OptimizeSpec(9, search_space={"auto": DOCUMENT["search_space"] | {"colour": {"choices": [1]}}})
    found = {id: set(spec.space(id).dimensions) for id in ("xgboost", "lstm", "ridge")}
    assert found == {
        "xgboost": {"learning_rate"},
        "lstm": {"learning_rate", "batch_size", "units"},
        "ridge": {"alpha"},
    }
    said = " ".join(map(say_remark, spec.remarks()))
    assert "batch_size (lstm, network)" in said and "no such parameter: colour" in said
    refused(lambda: OptimizeSpec(9, search_space={"auto": {"colour": {"choices": [1]}}}), "colour", "learning_rate")
    asked = optimize_request(DOCUMENT, "auto")
    assert asked.algorithms is None and asked.search_space == {"auto": DOCUMENT["search_space"]}


def test_a_name_that_could_mean_two_parameters_is_refused(network):
    both = {"units": Parameter("int", 50, "m"), "hidden": Parameter("int", 50, "m")}
    register(dataclasses.replace(algorithm(network), parameters=both))
    refused(lambda: parameter_name(network, "hidden_units"), "'hidden_units'", "hidden, units")


def test_choices_may_be_lists_words_and_flags(network):
    space = SearchSpace.from_dict(
        network,
        {
            "shape": {"choices": [[8], [8, 8], [8]]},
            "cell": {"type": "categorical"},
            "stateful": {"type": "bool"},
            "layers": {"choices": [None, [{"type": "lstm", "units": 4}]]},
        },
    )
    assert space.size == 2 * 2 * 2 * 2
    points, total = space.grid(5, seed=1, iterations=99)
    found = [space.read(point) for point in points]
    assert (
        total == 16
        and {"cell": "gru", "layers": [{"type": "lstm", "units": 4}], "shape": [8, 8], "stateful": True} in found
    )
    assert space.raw(found[3]) == points[3]
    assert SearchSpace.from_dict(network, space.to_dict()) == space


# --- the registry's spaces ---


def test_every_space_in_the_registry_is_sound():
    for id in tunable_algorithms():
        space = SearchSpace.default(id)
        assert space.size > 1, id
        assert all(
            algorithm(id).parameters[name].accepts(value)
            for name, d in space.dimensions.items()
            for value in map(d.read, d.grid(3))
        ), id
    assert {"ridge", "lightgbm", "random_forest"} <= set(tunable_algorithms())


def test_fixed_parameters_are_not_searched():
    whole, fixed = SearchSpace.default("lightgbm"), SearchSpace.default("lightgbm", {"leaves": 7})
    assert set(whole.dimensions) - set(fixed.dimensions) == {"leaves"}
    refused(lambda: SearchSpace.default("ridge", {"alpha"}), "'ridge'", "lightgbm")


# --- grids ---


def test_a_grid_has_five_points_a_range_and_every_choice():
    space = SearchSpace.from_dict(
        "lightgbm",
        {
            "l2": {"min": 0.01, "max": 100, "log": True},
            "leaves": {"min": 2, "max": 4},
            "objective": {"choices": ["l1", "l2"]},
        },
    )
    points, total = space.grid(5, seed=0, iterations=1000)
    assert total == len(points) == 5 * 3 * 2
    assert sorted({round(p["l2"], 6) for p in points}) == [0.01, 0.1, 1.0, 10.0, 100.0]
    assert space.size == math.inf


def test_a_grid_that_is_too_large_is_refused_with_its_size():
    space = SearchSpace.from_dict(
        "lightgbm", {name: {"min": 10, "max": 1000} for name in ("leaves", "rounds", "min_leaf", "l2")}
    )
    refused(
        lambda: space.grid(50, seed=0, iterations=20),
        "'lightgbm'",
        "6250000 combinations",
        "for 20 iterations",
        "random or bayesian",
    )


def test_values_are_readable_and_stay_inside():
    dimension = SearchSpace.from_dict("ridge", {"alpha": {"min": 0.1234567891, "max": 1 / 3}}).dimensions["alpha"]
    for raw in (0.1234567891, 0.2222222222, 1 / 3):
        assert dimension.min <= dimension.read(raw) <= dimension.max
    assert dimension.read(0.2222222222) == 0.222222


# --- the section of the configuration ---


@pytest.mark.parametrize(
    "wrong, parts",
    [
        ({"iterations": -1}, ["-1"]),
        ({"iterations": 2.5}, ["2.5"]),
        ({"iterations": True}, ["True"]),
        ({"iterations": 10**9}, ["1000000000", "100000"]),
        ({"method": "genetic"}, ["'genetic'", "bayesian | random | grid"]),
        ({"metric": "val_loss"}, ["'loss'", "rmse"]),
        ({"metric": "bias"}, ["'bias'"]),
        ({"time_limit": 0}, ["0", "seconds"]),
        ({"time_limit": "1h"}, ["'1h'"]),
        ({"algorithms": ["arimax2"]}, ["'arimax2'"]),
        ({"algorithms": ["naive"]}, ["'naive'", "nothing to optimise"]),
        ({"search_space": {"ridge": {}}}, ["'ridge'", "is empty"]),
        (
            {"algorithms": ["theta"], "search_space": {"theta": {"model": {}}, "ridge": {"alpha": {"choices": [1]}}}},
            ["'ridge'", "theta"],
        ),
    ],
)
def test_every_mistake_in_the_specification_is_reported(wrong, parts):
    refused(lambda: OptimizeSpec(**wrong), *parts)


def test_the_section_survives_the_configuration_file():
    spec = OptimizeSpec(
        30,
        "random",
        "val_mae",
        60.0,
        ["ridge"],
        {"ridge": {"alpha": {"type": "float", "min": 0.1, "max": 9, "log": True}}},
    )
    adapter = TypeAdapter(OptimizeSpec)
    assert adapter.validate_python(adapter.dump_python(spec, mode="json")) == spec
    assert adapter.validate_python({}) == OptimizeSpec()
    with pytest.raises(ValueError, match="genetic"):
        adapter.validate_python({"method": "genetic"})
