"""Do the page on metrics and its alarms tell of what there is, and of all of it?"""

import re
from pathlib import Path
from typing import Any

import yaml

from adapters.http.metrics import COUNTERS, GAUGES, Metrics
from infra.metrics import REGISTRY
from infra.roles.api import service_of
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs/alerts.yaml").read_text())["groups"][0]["rules"]
NAME = re.compile(r"\bpostcommit_[a-z_]+")
SUFFIX = {"counter": "_total"}


def told() -> set[str]:
    """What the program tells Prometheus, but for what every Python process tells."""
    metrics = Metrics(service_of(None, None, {}, lambda _: None))  # type: ignore[arg-type]
    families = [*metrics.families(), *REGISTRY.collect()]
    counted = {family.name + SUFFIX.get(family.type, "") for family in families}
    asked = {f"postcommit_{name}" for name in GAUGES} | {f"postcommit_{name}_total" for name in COUNTERS}
    return {name for name in counted | asked if name.startswith("postcommit_")}


def test_the_page_names_every_metric_and_no_other() -> None:
    assert set(NAME.findall(PAGE)) == told()


def test_every_alarm_is_about_a_metric_that_there_is() -> None:
    assert {name for rule in RULES for name in NAME.findall(rule["expr"])} <= told()


def test_every_alarm_has_its_line_and_every_line_its_alarm() -> None:
    lines = re.findall(r"^\| `(Postcommit\w+)` \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert lines == [rule["alert"] for rule in RULES]
    assert all(rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"] for rule in RULES)


def test_prometheus_is_told_to_ask_where_the_services_of_compose_tell() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    [config] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    jobs = yaml.safe_load(config)["scrape_configs"]
    asked = {target for job in jobs for one in job["static_configs"] for target in one["targets"]}
    ports = {name: services[name]["environment"]["POSTCOMMIT_METRICS_PORT"] for name in ("relay", "worker", "reader")}
    assert asked == {f"api:{Settings().port}"} | {f"{name}:{port}" for name, port in ports.items()}
