"""Neural networks: they learn, refuse impossible stacks, are reproducible to the digit, and load safely."""

import json
import random
import re
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import panel_of

from vur.errors import VurError
from vur.forecasters.base import create, forecast_panel, load_forecaster
from vur.forecasters.networks import training as learning
from vur.forecasters.networks.architecture import (
    LAYERS,
    block_of,
    build_stack,
    network_parameters,
    read_stack,
    shortest_window,
)
from vur.forecasters.parallel import Stopped
from vur.forecasters.registry import algorithm
from vur.forecasters.statistical import describe_fallback
from vur.frequency import frequency
from vur.panel import Panel
from vur.text import LANGUAGES, translate

pytestmark = pytest.mark.slow

# Section 4.3 of the HTTP interface, as a client sends it; only the number of epochs is smaller in the tests.
DOCUMENT = """
{"dataset_id": "uuid",
 "architecture": {"layers": [
    {"type": "lstm", "units": 50, "return_sequences": true, "dropout": 0.2},
    {"type": "dense", "units": 25, "activation": "relu"},
    {"type": "dense", "units": 1, "activation": "linear"}]},
 "compilation": {"optimizer": "adam", "loss": "mse", "metrics": ["mae", "mape"]},
 "training": {"epochs": 100, "batch_size": 32, "validation_split": 0.2,
    "early_stopping": {"enabled": true, "patience": 10, "monitor": "val_loss"}}}
"""
SMALL = {"units": [8], "epochs": 3}
DENSE, FLATTEN = {"type": "dense", "units": 1}, {"type": "flatten"}
LSTM, CONV = {"type": "lstm", "units": 4}, {"type": "conv1d", "filters": 4, "kernel_size": 3}
STACK = {
    "architecture": {
        "layers": [CONV, {"type": "gru", "units": 4, "dropout": 0.2}, {"type": "batch_normalization"}, DENSE]
    },
    "training": {"epochs": 3, "batch_size": 64},
}


def swing(length: int = 72, period: float = 12, count: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Sines of `period` steps, each with a phase, level and noise of its own."""
    rng, step = np.random.default_rng(seed), np.arange(length)
    return {
        f"s{k}": 10.0**k * (50 + 10 * np.sin(2 * np.pi * (step / period + k / 5)) + rng.normal(0, 0.3, length))
        for k in range(count)
    }


@pytest.fixture(scope="module")
def panel() -> Panel:
    return panel_of(swing(), "MS")


@pytest.fixture(scope="module")
def fitted(panel: Panel):
    return create("lstm", seed=3, **SMALL).fit(panel)


def test_importing_and_checking_a_stack_loads_no_tensorflow():
    code = textwrap.dedent("""
        import sys, vur
        from vur.errors import VurError
        from vur.forecasters.base import create
        from vur.forecasters.registry import algorithms
        assert {"lstm", "network"} <= set(algorithms())
        create("lstm")
        try:
            layers = [{"type": "lstm", "units": 3}, {"type": "lstm", "units": 3}, {"type": "dense", "units": 1}]
            create("network", architecture={"layers": layers})
        except VurError as error:
            print(error.code)
        print([name for name in ("tensorflow", "keras", "h5py") if name in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["networks.sequence_recurrent", "[]"], done.stderr


@pytest.mark.slow
def test_lstm_learns_a_wave_that_no_season_explains():
    """A cycle of 19 months does not fit a season of 12: naive and seasonal naive are wrong, the network is not."""
    whole = swing(190, 19, count=3)
    actual = np.array([y[-12:] for y in whole.values()])
    scale = actual.mean(axis=1)[:, None]
    train = panel_of({id: y[:-12] for id, y in whole.items()}, "MS")

    def error(name: str, **options) -> float:
        forecast = create(name, **options).fit(train).predict(12)
        assert np.isfinite(forecast["forecast"]).all() and forecast.groupby("unique_id").size().tolist() == [12] * 3
        return float((np.abs(forecast["forecast"].to_numpy().reshape(3, 12) - actual) / scale).mean())

    learnt = error("lstm", units=[8], epochs=12, learning_rate=0.02)
    assert learnt < 0.2 * min(error("naive"), error("seasonal_naive"))
    assert learnt < 0.02


@pytest.mark.slow
def test_the_documented_layer_list_builds_and_learns():
    document = json.loads(DOCUMENT)
    document["training"] |= {"epochs": 12, "early_stopping": {"enabled": True, "patience": 3, "monitor": "val_mape"}}
    whole = swing(150, 19)
    train = panel_of({id: y[:-12] for id, y in whole.items()}, "MS")
    model = create("network", **network_parameters(document)).fit(train)
    assert {"loss", "val_loss", "val_mae", "val_mape"} == set(model.history) and len(model.history["loss"]) <= 12
    assert model.history["val_loss"][model.best - 1] < 0.7 * model.history["val_loss"][0]
    assert model.best == int(np.argmin(model.history["val_mape"])) + 1
    classes = [layer.__class__.__name__ for layer in model.network.layers]
    assert classes == ["InputLayer", "LSTM", "Dense", "Dense", "Cropping1D", "Reshape"]
    assert [layer.units for layer in model.network.layers[1:4]] == [50, 25, 1]
    forecast = model.predict(12)["forecast"].to_numpy().reshape(2, 12)
    naive = create("naive").fit(train).predict(12)["forecast"].to_numpy().reshape(2, 12)
    actual = np.array([y[-12:] for y in whole.values()])
    assert (np.abs(forecast - actual).mean(axis=1) < np.abs(naive - actual).mean(axis=1)).all()


IMPOSSIBLE = [
    ([LSTM, LSTM, DENSE], None, (2, "lstm"), "return_sequences to true on layer 1 (lstm)"),
    (
        [LSTM, {"type": "dropout", "rate": 0.1}, {"type": "gru", "units": 4}, DENSE],
        None,
        (3, "gru"),
        "return_sequences to true on layer 1 (lstm)",
    ),
    (
        [{"type": "bidirectional", "layer": LSTM}, {"type": "attention"}, FLATTEN, DENSE],
        None,
        (2, "attention"),
        "return_sequences to true on layer 1 (bidirectional)",
    ),
    ([FLATTEN, CONV, DENSE], None, (2, "conv1d"), "before layer 1 (flatten)"),
    ([{"type": "global_max_pooling1d"}, LSTM, DENSE], None, (2, "lstm"), "before layer 1 (global_max_pooling1d)"),
    ([CONV | {"kernel_size": 13}, FLATTEN, DENSE], 12, (1, "conv1d"), "a longer window"),
    ([CONV, CONV | {"dilation_rate": 6}, FLATTEN, DENSE], 12, (2, "conv1d"), "dilation_rate"),
    ([{"type": "max_pooling1d", "pool_size": 20}, FLATTEN, DENSE], 12, (1, "max_pooling1d"), "pool_size"),
    ([CONV | {"strides": 2, "dilation_rate": 2}, FLATTEN, DENSE], None, (1, "conv1d"), "to 1"),
    ([LSTM, {"type": "dens", "units": 1}], None, (2, "dens"), "nearest first: dense,"),
    ([{"type": "lambda", "function": "print"}, DENSE], None, (1, "lambda"), "nearest first: lstm,"),
    ([{"type": "bidirectional", "layer": DENSE}, DENSE], None, (1, "dense"), "lstm, gru"),
    ([LSTM | {"activation": "tanhh"}, DENSE], None, (1, "lstm"), "nearest first: tanh,"),
    ([LSTM | {"activation": 3}, DENSE], None, (1, "lstm"), "tanh"),
    ([{"type": "lstm", "units": 0}, DENSE], None, (1, "lstm"), "int from 1"),
    ([LSTM, {"type": "dense", "units": 2.5}], None, (2, "dense"), "int from 1"),
    ([{"type": "lstm"}, DENSE], None, (1, "lstm"), "Add 'units'"),
    ([LSTM | {"dropout": 1.0}, DENSE], None, (1, "lstm"), "below 1"),
    ([LSTM | {"return_sequence": True}, LSTM, DENSE], None, (1, "lstm"), "nearest first: return_sequences,"),
    ([CONV | {"padding": "full"}, FLATTEN, DENSE], None, (1, "conv1d"), "valid | same | causal"),
    ([CONV, DENSE], None, (2, "dense"), "flatten"),
    ([CONV, FLATTEN], None, (2, "flatten"), '"type": "dense"'),
    ([{"type": "global_average_pooling1d"}], None, (1, "global_average_pooling1d"), '"type": "dense"'),
    ([LSTM, DENSE | {"activation": "relu"}], None, (2, "dense"), "linear"),
    ([LSTM, DENSE | {"activation": "sigmoid"}, {"type": "dropout", "rate": 0.1}], None, (2, "dense"), "linear"),
    (["lstm", DENSE], None, (1, ""), '"type": "lstm"'),
]


@pytest.mark.parametrize(
    "layers, window, place, remedy",
    IMPOSSIBLE,
    ids=[f"{k}_{place[1]}" for k, (_, _, place, _) in enumerate(IMPOSSIBLE)],
)
def test_an_impossible_stack_names_layer_and_remedy(layers, window, place, remedy):
    with pytest.raises(VurError) as caught:
        create("network", architecture={"layers": layers}, window=window)
    error, (number, kind) = caught.value, place
    assert error.stage == "networks" and error.data["number"] == number
    for language in LANGUAGES:
        assert re.search(rf"\b{number}\b", error.cause(language)) and kind in error.cause(language), error.cause(
            language
        )
    assert remedy in str(error), str(error)
    assert error.cause("pt-BR") != error.cause() and error.remedy("pt-BR") != error.remedy()


@pytest.mark.parametrize(
    "given, said",
    [
        ({"architecture": {"layers": []}}, "at least one layer"),
        ({"architecture": {"layers": None}}, "at least one layer"),
        ({"architecture": {"layer": [DENSE]}}, "nearest first: layers."),
        ({"architecture": {"layers": "lstm"}}, "at least one layer"),
        ({"compilation": {"optimizer": "adm"}}, "nearest first: adam,"),
        ({"compilation": {"loss": "mape"}}, '"mae"'),
        ({"compilation": {"learning_rate": 0}}, "above 0"),
        ({"compilation": {"metrics": ["r2d2"]}}, "mae"),
        ({"training": {"epochs": 0}}, "int from 1"),
        ({"training": {"epoch": 5}}, "nearest first: epochs,"),
        ({"training": {"batch_size": -1}}, "int from 1"),
        ({"training": {"validation_split": 1}}, "below 1"),
        ({"training": {"early_stopping": {"monitor": "val_rmse"}}}, "val_loss"),
        ({"training": {"validation_split": 0, "early_stopping": {"monitor": "val_loss"}}}, "validation_split above 0"),
        ({"window": 1}, "from 2"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_allowed_ones(given, said):
    with pytest.raises(VurError) as caught:
        create("network", **given)
    assert said in str(caught.value), str(caught.value)
    assert caught.value.text("pt-BR") != str(caught.value)


def draw_layer(rng: np.random.Generator) -> dict:
    kind = str(rng.choice(list(LAYERS)))
    layer = {"type": kind}
    for key, rule in LAYERS[kind].items():
        if key == "layer":
            layer[key] = {
                "type": str(rng.choice(["lstm", "gru"])),
                "units": 2,
                "return_sequences": bool(rng.random() < 0.7),
            }
        elif rule.kind == "int":
            layer[key] = int(rng.integers(1, 5))
        elif rule.kind == "bool":
            layer[key] = bool(rng.random() < 0.7)
        elif rule.kind == "share":
            layer[key] = 0.1
        elif rng.random() < 0.5:
            layer[key] = str(rng.choice([choice for choice in rule.choices if choice != "softmax"]))
    return layer


@pytest.mark.slow
def test_what_passes_the_check_can_be_built_and_what_does_not_says_where():
    """Random stacks: Keras accepts each one that was accepted, with the number of steps that was foreseen."""
    keras, rng = learning.load_keras(), np.random.default_rng(0)
    built, refused = 0, set()
    for _ in range(400):
        given = [draw_layer(rng) for _ in range(rng.integers(1, 5))]
        try:
            layers = read_stack(given, 12)
        except VurError as error:
            refused.add(error.code)
            assert 1 <= error.data["number"] <= len(given), str(error)
            continue
        if built == 40:
            break
        built += 1
        network = build_stack(layers, 12, 3)
        assert network.output_shape == (None, block_of(layers), 1), given
        assert shortest_window(layers) <= 12
    keras.utils.clear_session()
    assert built == 40 and len(refused) >= 5, (built, refused)


def test_of_a_sequence_the_last_step_is_the_forecast():
    """`return_sequences` on the last recurrent layer changes nothing: its last step has seen the whole window."""
    learning.load_keras()
    told = build_stack(read_stack([LSTM | {"return_sequences": True}, DENSE | {"units": 3}]), 9, 2)
    plain = build_stack(read_stack([LSTM, DENSE | {"units": 3}]), 9, 2)
    plain.set_weights(told.get_weights())
    shown = np.random.default_rng(0).normal(size=(5, 9, 2)).astype("float32")
    np.testing.assert_allclose(told(shown).numpy(), plain(shown).numpy(), rtol=1e-5, atol=1e-6)


def check_archive(folder: Path) -> None:
    """The folder of a saved network holds plain data and a Keras archive of version 3."""
    assert sorted(path.name for path in folder.iterdir()) == [
        "forecaster.json",
        "model.keras",
        "state.json",
        "state.npz",
    ]
    with zipfile.ZipFile(folder / "model.keras") as archive:
        assert {"config.json", "metadata.json", "model.weights.h5"} <= set(archive.namelist())
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")


@pytest.mark.parametrize("id, parameters", [("lstm", SMALL | {"dropout": 0.2}), ("network", STACK)])
def test_the_seed_decides_every_digit(id, parameters, panel):
    forecast = create(id, seed=7, **parameters).fit(panel).predict(20)
    np.random.random(3), random.random()
    pd.testing.assert_frame_equal(
        forecast_panel(create(id, seed=7, **parameters), panel, 20), forecast, check_exact=True
    )
    if id == "lstm":
        assert not create(id, seed=8, **parameters).fit(panel).predict(20)["forecast"].equals(forecast["forecast"])


@pytest.mark.slow
def test_a_saved_network_forecasts_and_moves_on_the_same_in_another_process(panel, tmp_path):
    later = panel_of(swing(78), "MS")
    later.frame.to_parquet(tmp_path / "later.parquet")
    models = {
        "lstm": create("lstm", seed=7, **SMALL).fit(panel),
        "network": create("network", seed=7, **STACK).fit(panel),
    }
    for id, model in models.items():
        check_archive(model.save(tmp_path / id))
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        import pandas as pd
        from vur.forecasters.base import load_forecaster
        from vur.panel import Panel
        home = Path(sys.argv[1])
        for id in ("lstm", "network"):
            model = load_forecaster(home / id)
            model.predict(20).to_parquet(home / f"{id}_loaded.parquet")
            later = Panel(pd.read_parquet(home / "later.parquet"), model.freq)
            model.update(later).predict(20).to_parquet(home / f"{id}_moved.parquet")
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    for id, model in models.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / f"{id}_loaded.parquet"), model.predict(20), check_exact=True
        )
        moved = model.update(later).predict(20)
        assert moved["ds"].min() == later.frame["ds"].max() + pd.offsets.MonthBegin()
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{id}_moved.parquet"), moved, check_exact=True)


def test_update_moves_the_origin_and_trains_nothing(fitted, panel, tmp_path, monkeypatch):
    def forbidden(*given, **options):
        raise AssertionError("update trained a network")

    monkeypatch.setattr("vur.forecasters.networks.training.train_network", forbidden)
    model = load_forecaster(fitted.save(tmp_path))
    weights, before = model.network.get_weights(), model.predict(6)
    with_new = swing(78) | {"new": swing(78)["s0"] * 3, "young": np.array([4.0, 5.0])}
    forecast = model.update(panel_of(with_new, "MS")).predict(6)
    assert forecast["unique_id"].unique().tolist() == ["new", "s0", "s1", "young"]
    last = panel_of(with_new, "MS").frame.groupby("unique_id")["ds"].max()
    assert (forecast.groupby("unique_id")["ds"].min() == last + pd.offsets.MonthBegin()).all()
    assert model.fallbacks.to_numpy().tolist() == [["young", "too_short", "naive"]]
    for old, new in zip(weights, model.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    triple = forecast.set_index("unique_id")["forecast"]
    np.testing.assert_allclose(triple["new"], 3 * triple["s0"], rtol=1e-4)
    pd.testing.assert_frame_equal(model.update(panel).predict(6), before, check_exact=True)


def test_odd_series_fall_back_and_are_listed(panel):
    odd = swing(60, count=1) | {"flat": np.full(40, 5.0), "one": [3.0], "short": [1.0, 2.0, 4.0], "zero": np.zeros(60)}
    model = create("lstm", units=[4], epochs=1).fit(panel_of(odd, "MS"))
    forecast = model.predict(15).set_index("unique_id")["forecast"]
    assert np.isfinite(forecast).all() and forecast.groupby("unique_id").size().eq(15).all()
    table = model.fallbacks.set_index("unique_id")
    assert table["reason"].to_dict() == {
        "flat": "constant",
        "one": "too_short",
        "short": "too_short",
        "zero": "constant",
    }
    assert table["used"].to_dict() == {
        "flat": "seasonal_naive",
        "one": "naive",
        "short": "naive",
        "zero": "seasonal_naive",
    }
    for id, value in (("flat", 5.0), ("one", 3.0), ("short", 4.0), ("zero", 0.0)):
        assert forecast[id].eq(value).all(), id
    for reason in table["reason"]:
        assert describe_fallback(reason) != describe_fallback(reason, "pt-BR")


def test_a_panel_without_training_windows_falls_back_and_is_saved(tmp_path):
    for number, series in enumerate(({"a": [1.0, 2.0, 4.0]}, {"a": np.full(50, 7.0), "b": np.zeros(50)})):
        model = create("network", window=24, **STACK).fit(panel_of(series, "MS"))
        forecast = model.predict(3)
        assert forecast["forecast"].tolist() == [y[-1] for y in series.values() for _ in range(3)]
        assert sorted(model.fallbacks["unique_id"]) == sorted(series)
        folder = model.save(tmp_path / str(number))
        assert not (folder / "model.keras").exists()
        pd.testing.assert_frame_equal(load_forecaster(folder).predict(3), forecast)


def test_a_network_that_diverges_falls_back_to_finite_forecasts(panel):
    wild = {"optimizer": "sgd", "learning_rate": 1e30, "loss": "mse"}
    for epochs in (1, 3):
        training = {"epochs": epochs, "batch_size": 4096, "validation_split": 0, "early_stopping": {"enabled": False}}
        layers = [FLATTEN, {"type": "dense", "units": 4, "activation": "relu"}, DENSE]
        model = create("network", architecture={"layers": layers}, compilation=wild, training=training).fit(panel)
        assert model.fallbacks["reason"].tolist() == ["not_finite"] * 2
        assert np.isfinite(model.predict(30)["forecast"]).all()


def test_extreme_values_stay_finite():
    base = swing(72, count=1)["s0"]
    series = {
        "huge": base * 1e290,
        "jump": np.r_[np.zeros(50), np.full(22, 1e12)],
        "negative": -base,
        "spike": np.r_[np.zeros(71), 1e-9],
        "tiny": base * 1e-290,
        "whole": np.arange(72) % 2,
    }
    model = create("lstm", units=[4], epochs=2, block=3).fit(panel_of(series, "MS"))
    forecast = model.predict(40).set_index("unique_id")["forecast"]
    assert np.isfinite(forecast).all()
    assert forecast["huge"].between(1e290, 1e292).all() and forecast["negative"].between(-90, -10).all()


def test_every_epoch_is_reported_with_its_losses(panel):
    told: list[tuple] = []
    model = create("network", **STACK)
    forecast_panel(model, panel, 3, progress=lambda *said: told.append(said))
    assert [said[:2] for said in told] == [(1, 3), (2, 3), (3, 3)]
    for number, (_, _, key, data) in enumerate(told, 1):
        assert data["epoch"] == number and data["loss"] == model.history["loss"][number - 1] > 0
        assert data["val_loss"] == model.history["val_loss"][number - 1] > 0
        english, portuguese = (translate(key, language, **data) for language in LANGUAGES)
        assert english.startswith(f"Epoch {number}/3 - Loss: {data['loss']:.4f}") and portuguese.startswith(
            f"Época {number}/3 - Perda: "
        )
    told.clear()
    forecast_panel(
        create("lstm", units=[4], epochs=2, validation=0), panel, 3, progress=lambda *said: told.append(said)
    )
    assert translate(told[-1][2], **told[-1][3]) == f"Epoch 2/2 - Loss: {told[-1][3]['loss']:.4f}"


@pytest.mark.parametrize("id", ["lstm", "network"])
def test_stop_ends_training_at_once(id, panel):
    told: list[float] = []
    endless = (
        {"epochs": 500, "patience": 500}
        if id == "lstm"
        else {"training": {"epochs": 500, "early_stopping": {"enabled": False}}}
    )

    def stop() -> bool:
        return len(told) >= 2

    model = create(id, **endless)
    with pytest.raises(Stopped):
        forecast_panel(model, panel, 3, progress=lambda *said: told.append(time.perf_counter()), stop=stop)
    assert len(told) == 2
    assert time.perf_counter() - told[1] < max(1.0, told[1] - told[0])
    assert model.progress is None and model.stop is None
    with pytest.raises(Stopped):
        forecast_panel(create(id), panel, 3, progress=lambda *said: told.append(0.0), stop=lambda: True)
    assert len(told) == 2


@pytest.mark.slow
def test_what_is_known_of_the_future_moves_the_forecast():
    rng, length = np.random.default_rng(1), 240
    promotion = (rng.random(length + 20) < 0.2).astype(float)
    days = pd.date_range("2024-01-01", periods=length + 20).as_unit("ns")
    y = 100 + 30 * promotion + rng.normal(0, 1, length + 20)
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": y, "promotion": promotion})
    known = Panel(frame[:length], frequency("D"), {"promotion": "known_future"})
    ahead = frame[length:][["unique_id", "ds", "promotion"]]
    own = {"compilation": {"learning_rate": 0.01}, "training": {"epochs": 15}}
    for id, options in (
        ("lstm", {"units": [8], "epochs": 12, "learning_rate": 0.01, "block": 7}),
        ("network", own | {"architecture": {"layers": [FLATTEN, DENSE | {"units": 7}]}}),
    ):
        model = create(id, **options).fit(known)
        forecast = model.predict(20, ahead)["forecast"].to_numpy()
        assert np.abs(forecast - y[length:]).mean() < 10, id
        assert forecast[promotion[length:] == 1].min() > forecast[promotion[length:] == 0].max(), id
        with pytest.raises(VurError, match="promotion"):
            model.predict(20)


def archive_of(folder: Path, change) -> None:
    """Write the archive again with `change(config)` done to its description."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_hostile_archive_is_refused_and_nothing_in_it_runs(fitted, tmp_path, monkeypatch):
    keras = learning.load_keras()
    folder, marker = fitted.save(tmp_path / "model"), tmp_path / "ran"
    shape = fitted.network.inputs[0].shape[1:]
    text = str(marker)
    layer = keras.layers.Lambda(lambda x: (open(text, "w").close(), x)[1])
    keras.Sequential([keras.Input(shape), layer]).save(folder / "model.keras")
    assert marker.exists()
    marker.unlink()
    with pytest.raises(VurError, match="Lambda") as caught:
        load_forecaster(folder)
    assert caught.value.code == "networks.untrusted" and "treine o modelo de novo" in caught.value.text("pt-BR")
    allowed = {"Lambda", "Sequential", "__lambda__", "function", "lambda"}
    monkeypatch.setattr(learning, "CLASSES", learning.CLASSES | allowed)
    with pytest.raises(VurError) as caught:
        load_forecaster(folder)
    assert caught.value.code == "forecasters.damaged" and "Lambda" in str(caught.value) and not marker.exists()


@pytest.mark.parametrize(
    "part",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "subprocess", "class_name": "Dense", "config": {}, "registered_name": None},
        {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}},
        {"module": "keras.utils", "class_name": "get_file", "config": {}},
    ],
)
def test_a_description_that_names_foreign_code_is_refused(part, fitted, tmp_path):
    folder = fitted.save(tmp_path)
    archive_of(folder, lambda config: config["config"]["layers"][1]["config"].update(activation=part))
    with pytest.raises(VurError) as caught:
        load_forecaster(folder)
    assert caught.value.code == "networks.untrusted" and "model.keras" in str(caught.value)


def test_a_damaged_archive_is_an_error_that_says_so(fitted, tmp_path):
    folder = fitted.save(tmp_path / "model")
    whole = (folder / "model.keras").read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2]):
        (folder / "model.keras").write_bytes(content)
        with pytest.raises(VurError, match="cannot be read"):
            load_forecaster(folder)
    (folder / "model.keras").write_bytes(whole)
    archive_of(folder, lambda config: config["config"]["layers"][1]["config"].update(units=5))
    with pytest.raises(VurError):
        load_forecaster(folder)
    (folder / "model.keras").unlink()
    with pytest.raises(VurError, match="cannot be read"):
        load_forecaster(folder)


@pytest.mark.parametrize("id", ["lstm", "network"])
def test_the_registry_describes_networks_and_where_to_search(id):
    entry = algorithm(id)
    assert entry.family == "deep_learning" and entry.libraries == ("tensorflow", "keras")
    assert set(entry.covariates) == {"known_future", "past_only", "static"}
    for name, parameter in entry.parameters.items():
        for key in (parameter.meaning, f"{parameter.meaning}.name"):
            assert all(translate(key, language) for language in LANGUAGES), name
        space = parameter.tune
        assert all(
            parameter.accepts(value)
            for value in space.get("choices", [space[end] for end in ("min", "max") if end in space])
        ), name
    assert id == "network" or 2 <= len(entry.tunable) <= 6


def test_weights_are_counted_as_keras_counts_them():
    from vur.forecasters.networks.architecture import build_stack, check_size, read_stack

    stacks = [
        [
            {"type": "lstm", "units": 7, "return_sequences": True},
            {"type": "gru", "units": 5},
            {"type": "dense", "units": 1},
        ],
        [
            {"type": "bidirectional", "layer": {"type": "lstm", "units": 4}},
            {"type": "batch_normalization"},
            {"type": "dense", "units": 2},
        ],
        [
            {"type": "conv1d", "filters": 6, "kernel_size": 3},
            {"type": "attention", "heads": 2, "key_dim": 4},
            {"type": "flatten"},
            {"type": "dense", "units": 1},
        ],
    ]
    for layers in stacks:
        read = read_stack(layers, 12)
        trainable = sum(
            int(weight.shape.num_elements()) if hasattr(weight.shape, "num_elements") else weight.numpy().size
            for weight in build_stack(read, 12, 3).trainable_weights
        )
        assert check_size(read, 12, 3) == trainable, layers
