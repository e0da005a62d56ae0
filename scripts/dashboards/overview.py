"""Is it well, and if not, where to look."""

from dashboards.model import GREEN, RED, YELLOW, chart, dashboard, heat, number, quantiles, row, states, steps, table, words

UP = words((0, "down", RED), (1, "up", GREEN))
ACTING = words((0, "Redis", GREEN), (1, "archive", YELLOW))
PROMISE = words((0, "both stores", GREEN), (1, "archive", GREEN), (2, "as archived", YELLOW), (3, "Redis alone", YELLOW), (4, "nothing", RED))
PROMISED = " + ".join(f'{rank} * max by (instance, policy) (conv_guarantee{{@policy,level="{level}"}})' for rank, level in enumerate(["both", "archive", "archived", "redis", "none"]))
ERRORS = "sum(rate(convproxy_command_errors_total{@}[$__rate_interval])) / sum(rate(convproxy_commands_total{@}[$__rate_interval]))"


def build():
    return dashboard(
        "convproxy-overview",
        "convproxy: overview",
        "Whether conversations are served, by which store, how fast, and what is promised for them.",
        row(
            "Now",
            number("Proxies", "Proxies that Prometheus reaches. A proxy that is down shows nothing elsewhere on this page.", 'sum(up{@})', thresholds=steps(RED, (1, GREEN))),
            number("Redis", "redis_up: the probe is answered well.", "min(redis_up{@})", mappings=UP),
            number("Archive", "mongo_up: the archive answers, whichever it is.", "min(mongo_up{@})", mappings=UP),
            number("Who answers", "The store that acts for each policy.", 'max by (policy) (conv_acting_primary{@policy,store="archive"})', "{{policy}}", mappings=ACTING),
            number("Promise", "What acknowledged writes survive: docs/operations.md has the table of promises.", f"max by (policy) ({PROMISED})", "{{policy}}", mappings=PROMISE),
            number("P95", "Time to Redis's answer, 95th percentile of the last 60 s. The runbook's limit is 50 ms; 5 and 10 ms are those of a Redis nearby.",
                   "max(redis_latency_p95_ms{@})", unit="ms", thresholds=steps(GREEN, (5, YELLOW), (50, RED))),
            number("Errors", "Share of commands that were answered with an error.", ERRORS, unit="percentunit", decimals=2, thresholds=steps(GREEN, (0.01, YELLOW), (0.05, RED))),
            number("Error budget left", "The least of the four budgets over 30 days: docs/slo.md.", 'min(job_slo:error_budget_remaining:ratio_rate30d{job="convproxy"})',
                   unit="percentunit", decimals=1, thresholds=steps(RED, (0, YELLOW), (0.25, GREEN))),
        ),
        row(
            "Placement and alerts",
            states("Who answers", "The store that acts for each policy, over time.", 'max by (instance, policy) (conv_acting_primary{@policy,store="archive"})', "{{policy}} at {{instance}}",
                   ACTING, width=12, height=6),
            states("Alerts", "Those that are pending (1) or firing (2). docs/alerts.md has what each means and what to do.",
                   'max by (alertname, severity) ((ALERTS{alertstate="pending"} * 1) or (ALERTS{alertstate="firing"} * 2))', "{{alertname}} ({{severity}})",
                   words((1, "pending", YELLOW), (2, "firing", RED)), width=12, height=6),
            states("Faults on purpose", "While a store is made to fail (convctl chaos, CONV FAULT), what the other panels show is not its own doing.",
                   "max by (instance) (redis_faults_active{@} + 2 * archive_faults_active{@})", "{{instance}}", words((0, "none", GREEN), (1, "Redis", YELLOW), (2, "archive", YELLOW), (3, "both", RED)), height=3),
        ),
        row(
            "Traffic",
            chart("Requests and replies", "Requests read from clients, and replies made for them. A gap between them is work in flight.",
                  ("sum(rate(convproxy_requests_total{@}[$__rate_interval]))", "requests"), ("sum(rate(convproxy_replies_total{@}[$__rate_interval]))", "replies"), unit="reqps"),
            chart("Commands", "The ten that are sent most.", ("topk(10, sum by (command) (rate(convproxy_commands_total{@}[$__rate_interval])))", "{{command}}"), unit="reqps"),
            chart("Errors by command", "Commands that were answered with an error. While Redis is down: whatever is no conversation.",
                  ("sum by (command) (rate(convproxy_command_errors_total{@}[$__rate_interval])) > 0", "{{command}}"), unit="reqps", stacked=True),
            chart("Clients", "Clients connected now; new ones and refused ones a second.", ("sum(convproxy_clients_connected{@})", "connected"),
                  ("sum(rate(convproxy_clients_accepted_total{@}[$__rate_interval]))", "accepted/s"), ("sum(rate(convproxy_clients_refused_total{@}[$__rate_interval]))", "refused/s"),
                  thresholds=steps(GREEN, (1000, YELLOW), (1500, RED))),
            chart("Bytes", "Between clients and the proxy.", ("sum(rate(convproxy_bytes_in_total{@}[$__rate_interval]))", "in"),
                  ("sum(rate(convproxy_bytes_out_total{@}[$__rate_interval]))", "out"), unit="Bps"),
            chart("Requests that wait", "Clients whose requests wait because the stores change places, and pauses in reading from clients that are faster than the stores.",
                  ("sum(conv_held_requests{@})", "held"), ("sum(rate(convproxy_backpressure_pauses_total{@}[$__rate_interval]))", "pauses/s")),
        ),
        row(
            "Latency",
            chart("Redis", "From queueing a client's command for Redis to the end of its reply.", *quantiles("convproxy_redis_latency_seconds_bucket{@}", 0.5, 0.95, 0.99), unit="s",
                  thresholds=steps(GREEN, (0.005, YELLOW), (0.05, RED))),
            chart("Archive", "From handing a client's command to the archive's executor to its end.", *quantiles("archive_command_seconds_bucket{@}", 0.5, 0.95, 0.99), unit="s"),
            heat("Redis, all requests", "Where the requests fall.", "sum by (le) (rate(convproxy_redis_latency_seconds_bucket{@}[$__rate_interval]))"),
            chart("Mean time by command", "From arrival to reply, queueing and copies included; the ten slowest.",
                  ("topk(10, sum by (command) (rate(convproxy_command_seconds_total{@}[$__rate_interval])) / sum by (command) (rate(convproxy_commands_total{@}[$__rate_interval]) > 0))", "{{command}}"),
                  unit="s"),
            chart("The probe's PING", "Asked twice a second, whatever clients do. The reference documents warn from 5 ms on and alarm at 10 ms.", ("convproxy_redis_ping_seconds{@}", "{{instance}}"),
                  unit="s", thresholds=steps(GREEN, (0.005, YELLOW), (0.01, RED))),
            chart("Error budget burn", "How many times faster than allowed errors come, in the last hour: 1 uses the budget up in 30 days.",
                  ('job_slo:error_budget_burn:ratio_rate1h{job="convproxy"}', "{{slo}}"), thresholds=steps(GREEN, (1, YELLOW), (14.4, RED))),
        ),
        row(
            "The process",
            chart("Memory", "What the process holds, and what of it is buffered for clients and for Redis.", ("process_resident_memory_bytes{@}", "resident {{instance}}"),
                  ("convproxy_buffered_bytes{@}", "buffered {{instance}}"), unit="bytes"),
            chart("Processor", "Seconds of processor time a second: 1 is one core.", ("rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}")),
            chart("File descriptors", "Open ones, of those that are allowed.", ("process_open_fds{@} / process_max_fds{@}", "{{instance}}"), unit="percentunit",
                  thresholds=steps(GREEN, (0.8, YELLOW), (0.95, RED))),
            table("Builds", "What runs.", "convproxy_build_info{@}", hidden=("Value",), width=16, height=6),
            number("Up since", "When each proxy started.", "process_start_time_seconds{@} * 1000", "{{instance}}", unit="dateTimeFromNow", width=8, height=6),
        ),
    )
