"""The demo's figures: what was sent, beside what the analytics have counted."""

from collections.abc import Mapping

import httpx

from infra.demo.telling import need, say, title


async def figures(client: httpx.AsyncClient, signups: int, orders: int, cents: int, tasks: Mapping[str, int]) -> None:
    title("8. The analytics: equal to what was sent")
    head = (await client.get("/v1/balance")).json()["position"]
    answer = await client.get("/v1/analytics", params={"per": "hour", "after_position": head})
    counted = answer.json()["totals"]
    rows = [
        ("sign-ups", signups, counted["signups"]),
        ("orders", orders, counted["orders"]),
        ("orders recorded as sales", orders, counted["orders_recorded"]),
        ("revenue in cents (EUR)", cents, counted["revenue"].get("EUR", 0)),
    ]
    rows += [(f"{kind}, complete", sent, counted["tasks"][kind]["complete"]) for kind, sent in tasks.items()]
    say(f"   {'':<36} {'sent':>6} {'counted':>8}")
    for name, sent, found in rows:
        say(f"   {name:<36} {sent:>6,} {found:>8,}")
    probe = counted["tasks"]["probe"]["run_s"]
    say("   A probe ran {p50:.2f} s in the median and {p99:.2f} s at the 99th percentile.".format(**probe))
    need(all(sent == found for _, sent, found in rows), "the analytics are not what was sent")
    need(set(counted["tasks"]) == set(tasks), "the analytics count kinds that nobody sent")
