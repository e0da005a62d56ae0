"""Grafana's dashboards, written short. `make dashboards` turns these modules into deploy/grafana/dashboards/*.json.

In a query {@} stands for the proxies that the page shows, {@policy} for their policies as well; more labels may follow:
redis_up{@}, conv_acting_primary{@policy,store="archive"}. Thresholds are those of docs/slo.md."""
