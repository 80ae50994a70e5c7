"""The machine: processors, memory, disk, network, and the queue of jobs."""

from typing import Any

from vur.dashboards.monitoring.part import Part

HOURS = 3  # of the charts


class System(Part):
    """Cards of now, and charts of the last hours."""

    def declare(self) -> None:
        """Declare the panels."""
        self.machine, self.load, self.traffic = (self.page.panel(kind) for kind in ("cards", "chart", "chart"))

    def refresh(self) -> None:
        """Ask the service again."""
        now = self.page.api.get("/monitoring/system")
        past = self.page.api.get("/monitoring/system/history", hours=HOURS)
        queues = now["queues"]
        say = self.page.say

        def card(name: str, value: Any, key: str, **more: Any) -> dict[str, Any]:
            spark = past[key] if len(past[key]) > 1 else None
            label = say(f"pages.monitoring.system.{name}")
            return {"name": name, "label": label, "value": value, "spark": spark} | more

        def used(one: dict[str, Any]) -> str:
            return say("pages.monitoring.system.of", used=_gigabytes(one["used"]), total=_gigabytes(one["total"]))

        self.machine.show(
            items=[
                card("cpu", now["cpu"]["percent"] / 100, "cpu", type="percent", note=self._cores(now["cpu"])),
                card("memory", now["memory"]["percent"] / 100, "memory", type="percent", note=used(now["memory"])),
                card("disk", now["disk"]["percent"] / 100, "disk", type="percent", note=used(now["disk"])),
                card("traffic_now", now["network"]["received_per_second"], "received", type="bytes"),
                card("queue", queues["queued"] + queues["running"], "queued", note=self._queue(queues)),
            ]
        )
        self.load.show(
            width="half",
            title=say("pages.monitoring.system.load"),
            zoned=True,
            series=[
                {"name": say(f"pages.monitoring.system.{name}"), "x": past["at"], "y": [v / 100 for v in past[name]]}
                for name in ("cpu", "memory", "disk")
            ]
            if past["at"]
            else [],
            y={"percent": True, "from": 0},
            height=260,
            empty=say("pages.monitoring.system.empty"),
        )
        self.traffic.show(
            width="half",
            title=say("pages.monitoring.system.traffic"),
            zoned=True,
            series=[
                {"name": say(f"pages.monitoring.system.{name}"), "x": past["at"], "y": past[name]}
                for name in ("received", "sent")
            ]
            if past["at"]
            else [],
            y={"from": 0},
            height=260,
            empty=say("pages.monitoring.system.empty"),
        )

    def _cores(self, cpu: dict[str, Any]) -> str:
        return self.page.say(
            "pages.monitoring.system.cores", cores=cpu["cores"] or 0, load=self._number(cpu["load"][0], 1)
        )

    def _queue(self, queues: dict[str, Any]) -> str:
        return self.page.say("pages.monitoring.system.queue_note", queued=queues["queued"], running=queues["running"])

    def _number(self, value: float, digits: int = 0) -> str:
        from vur.wording import number

        return number(value, self.page.language, digits)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.0f}"
