"""Keys that nobody uses: where they are, how long it takes to have one back, what was saved. Empty where no policy has tiers."""

from dashboards.model import GREEN, RED, chart, dashboard, number, row, steps

# docs/slo.md: working below 1 ms, warm below 100 ms, cold below 20 s, each at the 99th percentile.
OBJECTIVES = {"working": 0.001, "warm": 0.1, "cold": 20}
WHERE = {"working": "In Redis.", "warm": "In the archive alone.", "cold": "In the archive alone, compressed."}


def p99(tier):
    return f'histogram_quantile(0.99, sum by (le) (rate(conv_tier_read_seconds_bucket{{@,tier="{tier}"}}[$__rate_interval])))'


def now(tier):
    return number(f"{tier.capitalize()} keys", WHERE[tier], f'sum(conv_tier_keys{{@policy,tier="{tier}"}})', width=4)


def reads(tier):
    limit = OBJECTIVES[tier]
    return chart(f"{tier.capitalize()}: time of a read, P99", f"{WHERE[tier]} The objective is {limit:g} s. No line where nobody has asked for such a key.", (p99(tier), "P99"), unit="s",
                 thresholds=steps(GREEN, (limit, RED)))


def build():
    return dashboard(
        "convproxy-tiers",
        "convproxy: tiers",
        "Which keys are in Redis, which in the archive alone, what moves between, and how long a key takes that is away. docs/tiers.md has the rules. Empty where no policy has tiers.",
        row(
            "Now",
            *map(now, OBJECTIVES),
            number("Warm bytes", "Of their documents, as far as they were seen since the proxy started.", 'sum(conv_tier_bytes{@policy,tier="warm"})', unit="bytes", width=4),
            number("Cold bytes", "The same, compressed.", 'sum(conv_tier_bytes{@policy,tier="cold"})', unit="bytes", width=4),
            number("Redis memory", "What Redis uses for all it has.", "max(redis_used_memory_bytes{@})", unit="bytes", width=4),
        ),
        row(
            "Keys",
            chart("By tier", "Working ones as the last sweep has counted them.", ("sum by (tier) (conv_tier_keys{@policy})", "{{tier}}"), stacked=True),
            chart("Bytes by tier", "Of documents in the archive alone.", ("sum by (tier) (conv_tier_bytes{@policy})", "{{tier}}"), unit="bytes", stacked=True),
            chart("Moves between tiers", "working to warm: the sweep. Back to working: somebody asked for the key, or it is important.",
                  ("sum by (from, to) (rate(conv_tier_moves_total{@policy}[$__rate_interval]))", "{{from}} to {{to}}"), unit="ops"),
        ),
        row("Reads", *map(reads, OBJECTIVES)),
        row(
            "What it costs",
            chart("Reads by tier", "Many of warm or cold keys mean that keys leave Redis too early.", ("sum by (tier) (rate(conv_tier_read_seconds_count{@}[$__rate_interval]))", "{{tier}}"), unit="reqps"),
            chart("Keys and documents", "Keys in Redis, and documents in the archive: what is away is in the second alone.", ("sum(redis_db_keys{@})", "keys in Redis"),
                  ("max(archive_documents{@})", "documents")),
            chart("Size of the archive", "As it says itself.", ("max by (instance) (archive_bytes{@})", "bytes {{instance}}"), unit="bytes"),
        ),
    )
