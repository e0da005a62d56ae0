"""Are conversations stored, found and kept: the runbook's page."""

from dashboards.model import GREEN, RED, YELLOW, chart, dashboard, number, quantiles, row, steps, words

GOOD = words((0, "failed", RED), (1, "ok", GREEN))
HIT_RATE = 'sum(rate(context_retrievals_total{@policy,result="hit"}[$__rate_interval])) / sum(rate(context_retrievals_total{@policy,result=~"hit|miss"}[$__rate_interval]))'
SUCCESS = 'sum(rate(context_retrievals_total{@policy,result!="error"}[$__rate_interval])) / sum(rate(context_retrievals_total{@policy}[$__rate_interval]))'
LOST_WRITES = "sum(rate(history_persist_errors_total{@policy}[$__rate_interval])) / (sum(rate(convproxy_policy_writes_total{@policy}[$__rate_interval])) + sum(rate(history_persist_errors_total{@policy}[$__rate_interval])))"


def build():
    return dashboard(
        "convproxy-store",
        "convproxy: conversation store",
        "Whether messages are stored, contexts are found, and Redis has room for them.",
        row(
            "Now",
            number("Writes not stored", "Share of writes to managed keys that were not stored. The runbook allows 0.1 %.", LOST_WRITES, unit="percentunit", decimals=3,
                   thresholds=steps(GREEN, (0.0005, YELLOW), (0.001, RED))),
            number("Retrievals that succeed", "Share of reads of conversations that got an answer. The runbook asks for 99.9 %.", SUCCESS, unit="percentunit", decimals=2,
                   thresholds=steps(RED, (0.999, GREEN))),
            number("Hit rate", "Share of reads that found a conversation. The runbook asks for 90 %, the working-memory runbook for 95 %.", HIT_RATE, unit="percentunit", decimals=1,
                   thresholds=steps(RED, (0.9, YELLOW), (0.95, GREEN))),
            number("Redis memory", "Of maxmemory. Warning at 80 %, alarm at 90 %.", "max(redis_used_memory_bytes{@} / (redis_maxmemory_bytes{@} > 0))", unit="percentunit", decimals=1,
                   thresholds=steps(GREEN, (0.8, YELLOW), (0.9, RED))),
            number("Evicted keys", "Anything but 0 means that conversations may have been lost.", "sum(redis_evicted_keys_total{@})", thresholds=steps(GREEN, (1, RED))),
            number("Keys in Redis", "All databases, the proxy's own keys included.", "sum(redis_db_keys{@})"),
            number("Documents", "Conversations in the archive when they were last counted.", "max(archive_documents{@})"),
            number("Log on disk", "Redis's last write to its append-only file.", "min(redis_aof_last_write_ok{@})", mappings=GOOD),
        ),
        row(
            "Writes",
            chart("Stored", "Writes to managed keys that were stored.", ("sum by (policy) (rate(convproxy_policy_writes_total{@policy}[$__rate_interval]))", "{{policy}}"), unit="wps"),
            chart("Not stored", "history_persist_errors_total by store and reason. docs/operations.md says what each reason means.",
                  ("sum by (policy, store, reason) (rate(history_persist_errors_total{@policy}[$__rate_interval])) > 0", "{{policy}} {{store}} {{reason}}"),
                  ("sum by (policy) (rate(history_persist_errors_total{@policy}[$__rate_interval]))", "{{policy}}, all"), unit="wps"),
            chart("Acknowledged before the archive had them", "Their marks stay until it has.", ("sum by (policy) (rate(conv_unarchived_total{@policy}[$__rate_interval]))", "{{policy}}"), unit="wps"),
        ),
        row(
            "Context",
            chart("Retrievals", "Reads of managed keys: found, no such key, error.", ("sum by (result) (rate(context_retrievals_total{@policy}[$__rate_interval]))", "{{result}}"), unit="reqps", stacked=True),
            chart("Hit rate", "Found ones among those that were answered.", (HIT_RATE, "hit rate"), unit="percentunit", maximum=1, thresholds=steps(RED, (0.9, YELLOW), (0.95, GREEN))),
            chart("Messages before an append", "How long conversations are when somebody says something: msg_count_before.", *quantiles("msg_count_before_bucket{@policy}", 0.5, 0.95)),
            chart("First messages", "Share of appends to conversations that had no message before. A rise without a rise of new users means that context is lost.",
                  ('sum by (policy) (rate(msg_count_before_bucket{@policy,le="0"}[$__rate_interval])) / sum by (policy) (rate(msg_count_before_count{@policy}[$__rate_interval]))', "{{policy}}"),
                  unit="percentunit", maximum=1),
            chart("JSON histories", "Trimmed to max_messages or max_bytes; stored as they came because they are no array, or not valid.",
                  ("sum(rate(convproxy_json_histories_trimmed_total{@policy}[$__rate_interval]))", "trimmed"),
                  ("sum by (why) (rate(convproxy_json_histories_untouched_total{@policy}[$__rate_interval]))", "untouched: {{why}}"), unit="wps"),
            chart("Expiry", "Keys that Redis expired, and refused writes after which a key's old expiry was put back.", ("sum(rate(redis_expired_keys_total{@}[$__rate_interval]))", "expired"),
                  ("sum(rate(convproxy_ttl_restored_total{@policy}[$__rate_interval]))", "put back"), unit="ops"),
        ),
        row(
            "Care",
            number("Keys without an expiry", "Found by the last convctl ttl-audit, and not repaired. Nothing is shown before there was one.", "sum(conv_keys_without_ttl{@policy})",
                   thresholds=steps(GREEN, (1, RED)), width=4, height=8),
            number("Since the last backup", "Of each kind, as convctl backup has told: keys is the portable file, rdb Redis's own.",
                   "max by (kind) (time() - (conv_backup_last_success_timestamp_seconds{@} > 0))", "{{kind}}", unit="s", thresholds=steps(GREEN, (93600, YELLOW), (259200, RED)), width=4, height=8),
            chart("Limits of tenants", "Commands refused because their tenant had sent too many: docs/rate-limits.md.", ("sum by (policy, class) (rate(conv_rate_limited_total{@policy}[$__rate_interval]))", "{{policy}} {{class}}"),
                  unit="reqps"),
            chart("Values that are not JSON", "Written to a policy whose format says json.", ("sum by (policy) (rate(conv_malformed_json_total{@policy}[$__rate_interval]))", "{{policy}}"), unit="wps"),
        ),
        row(
            "Redis",
            chart("Memory", "Used, resident, and the limit.", ("redis_used_memory_bytes{@}", "used"), ("redis_used_memory_rss_bytes{@}", "resident"), ("redis_maxmemory_bytes{@} > 0", "maxmemory"), unit="bytes"),
            chart("Processor", "Redis's own seconds of processor time a second: it has one core for commands.", ("rate(redis_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}"), unit="percentunit",
                  thresholds=steps(GREEN, (0.7, YELLOW), (0.85, RED))),
            chart("Connections", "Clients of Redis, those that wait, and the limit.", ("redis_connected_clients{@}", "connected"), ("redis_blocked_clients{@}", "blocked"), ("redis_maxclients{@}", "maxclients"),
                  thresholds=steps(GREEN, (1000, YELLOW), (1500, RED))),
            chart("Keys", "Those with an expiry, and all. Conversations always have one.", ("sum(redis_db_keys{@})", "keys"), ("sum(redis_db_keys_expiring{@})", "with an expiry")),
            chart("Hits and misses", "Redis's own counts, for all its keys.", ("sum(rate(redis_keyspace_hits_total{@}[$__rate_interval]))", "hits"),
                  ("sum(rate(redis_keyspace_misses_total{@}[$__rate_interval]))", "misses"), unit="ops"),
            chart("Evicted and refused", "Evicted keys, and connections that Redis refused.", ("sum(rate(redis_evicted_keys_total{@}[$__rate_interval]))", "evicted keys"),
                  ("sum(rate(redis_rejected_connections_total{@}[$__rate_interval]))", "refused connections"), unit="ops"),
        ),
        row(
            "Redis as its exporter sees it",
            chart("Commands", "Of all clients of Redis, the proxy's included: the ten most frequent.", ('topk(10, sum by (cmd) (rate(redis_commands_total{job="redis_exporter"}[$__rate_interval])))', "{{cmd}}"),
                  unit="ops"),
            chart("Network", "To and from Redis.", ('sum(rate(redis_net_input_bytes_total{job="redis_exporter"}[$__rate_interval]))', "in"),
                  ('sum(rate(redis_net_output_bytes_total{job="redis_exporter"}[$__rate_interval]))', "out"), unit="Bps"),
            chart("Fragmentation", "Resident over used memory. Far above 1.5 with much data: activedefrag, or a restart.", ('redis_mem_fragmentation_ratio{job="redis_exporter"}', "{{instance}}"), decimals=2),
        ),
        row(
            "Archive",
            chart("Operations", "The archive's own, by kind.", ("sum by (operation) (rate(archive_operation_seconds_count{@}[$__rate_interval]))", "{{operation}}"), unit="ops"),
            chart("Time of its operations, P95", "With what a plan of faults makes them wait.",
                  ("histogram_quantile(0.95, sum by (le, operation) (rate(archive_operation_seconds_bucket{@}[$__rate_interval])))", "{{operation}}"), unit="s"),
            chart("Errors", "Operations that failed, and commands that were refused, came too late, or failed.",
                  ("sum by (operation, error) (rate(archive_operation_errors_total{@}[$__rate_interval])) > 0", "{{operation}}: {{error}}"),
                  ("sum(rate(archive_refused_total{@}[$__rate_interval]))", "refused"), ("sum(rate(archive_late_total{@}[$__rate_interval]))", "late"),
                  ("sum(rate(archive_failed_total{@}[$__rate_interval]))", "failed"), unit="ops"),
            chart("Queue", "Commands at the executor.", ("sum by (state) (archive_queue_commands{@})", "{{state}}"), stacked=True),
            chart("Documents a commit", "How many writes share one commit.", ("rate(archive_documents_written_total{@}[$__rate_interval]) / (rate(archive_commits_total{@}[$__rate_interval]) > 0)", "{{instance}}"), decimals=1),
            chart("Size", "What the archive takes up, as it says itself.", ("archive_bytes{@}", "{{instance}}"), unit="bytes"),
        ),
    )
