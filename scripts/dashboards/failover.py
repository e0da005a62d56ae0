"""What happens between the stores: who answers and why, what is owed, and the long work on all keys."""

from dashboards.model import BLUE, GREEN, RED, YELLOW, chart, dashboard, number, row, states, steps, table, words
from dashboards.overview import ACTING, PROMISE, PROMISED

PHASES = ["redis", "hold", "archive", "catchup"]
PHASE = " + ".join(f'{rank} * max by (instance, policy) (conv_phase{{@policy,phase="{name}"}})' for rank, name in enumerate(PHASES))
PHASE_WORDS = words((0, "Redis", GREEN), (1, "hold", RED), (2, "archive", YELLOW), (3, "catch-up", BLUE))
STATE = 'max by (instance) (convproxy_redis_state{@,state="connected"})'


def build():
    return dashboard(
        "convproxy-failover",
        "convproxy: failover and moves",
        "Which store answered when, how long requests were held, what the archive is owed, what moves do, and whether both stores agree.",
        row(
            "Now",
            number("Who answers", "The store that acts for each policy.", 'max by (policy) (conv_acting_primary{@policy,store="archive"})', "{{policy}}", mappings=ACTING),
            number("Copies", "Whether Redis acts and its writes are copied to the archive: without, there is nothing to fail over to.", "min by (policy) (conv_dual_write{@policy})", "{{policy}}",
                   mappings=words((0, "off", YELLOW), (1, "on", GREEN))),
            number("Failovers", "How often the archive took over because Redis was lost, in the time shown.", "sum(increase(conv_failovers_total{@policy}[$__range]))", decimals=0,
                   thresholds=steps(GREEN, (1, YELLOW), (3, RED))),
            number("Longest pause", "The longest that requests were held while the stores changed places.", "max(conv_longest_pause_seconds{@policy})", unit="s", thresholds=steps(GREEN, (1, YELLOW), (10, RED))),
            number("Dirty keys", "Keys of which the archive is owed a copy.", "sum(conv_dirty_keys{@})", thresholds=steps(GREEN, (1000, YELLOW), (100000, RED))),
            number("Copy lag", "Since when the archive has been owed copies without a break.", "max(conv_copy_lag_seconds{@})", unit="s", thresholds=steps(GREEN, (10, YELLOW), (60, RED))),
            number("Quarantine", "States of Redis that could not be merged and were put aside since the proxy started.", "sum(conv_quarantined_total{@})", thresholds=steps(GREEN, (1, RED))),
            number("Keys that differ", "Found by the last verify, and not repaired.", "max(conv_verify_mismatches{@policy})", thresholds=steps(GREEN, (1, RED))),
        ),
        row(
            "Placement",
            states("Who answers", "The store that acts for each policy.", 'max by (instance, policy) (conv_acting_primary{@policy,store="archive"})', "{{policy}} at {{instance}}", ACTING),
            states("Phase", "hold: requests wait. archive: the archive acts. catch-up: keys are given back to Redis, each when it is asked for.", PHASE, "{{policy}} at {{instance}}", PHASE_WORDS),
            states("Promise", "What acknowledged writes survive.", PROMISED, "{{policy}} at {{instance}}", PROMISE),
            states("Connection to Redis", "connected, or on the way there.", STATE, "{{instance}}", words((0, "not connected", RED), (1, "connected", GREEN)), height=4),
        ),
        row(
            "Changes of stores",
            chart("Failovers", "Each step is one.", ("sum by (policy) (conv_failovers_total{@policy})", "{{policy}}")),
            chart("Requests held", "Clients whose requests wait; looked at once a second, so short pauses do not show.", ("sum(conv_held_requests{@})", "clients")),
            chart("Longest pause", "Since the proxy started.", ("max by (policy) (conv_longest_pause_seconds{@policy})", "{{policy}}"), unit="s"),
            chart("Handed back to Redis", "Keys that went back, and those that both stores had written and were merged.", ("sum(rate(conv_handed_over_total{@}[$__rate_interval]))", "handed back"),
                  ("sum(rate(conv_merged_total{@}[$__rate_interval]))", "merged"), unit="ops"),
            chart("Connections to Redis", "Made, failed, lost while in use, and commands that were not answered in time.", ("sum(rate(convproxy_upstream_connects_total{@}[$__rate_interval]))", "made"),
                  ("sum(rate(convproxy_upstream_connect_failures_total{@}[$__rate_interval]))", "failed"), ("sum(rate(convproxy_upstream_lost_total{@}[$__rate_interval]))", "lost"),
                  ("sum(rate(convproxy_upstream_timeouts_total{@}[$__rate_interval]))", "timeouts"), unit="ops"),
            chart("Reconnect attempts", "Of the probe, in a row. The reference documents warn above 3 and alarm above 8.", ("max by (instance) (convproxy_redis_reconnect_attempts{@})", "{{instance}}"),
                  thresholds=steps(GREEN, (3, YELLOW), (8, RED))),
        ),
        row(
            "Copies",
            chart("Dirty keys", "Keys of which the archive is owed a copy.", ("sum by (instance) (conv_dirty_keys{@})", "{{instance}}")),
            chart("Copy lag", "Since when copies have been owed without a break. From 10 s on the promise is lower.", ("max by (instance) (conv_copy_lag_seconds{@})", "{{instance}}"), unit="s",
                  thresholds=steps(GREEN, (10, YELLOW), (60, RED))),
            chart("Copied because of marks", "Keys carried from Redis to the archive after the write itself.", ("sum(rate(conv_copied_total{@}[$__rate_interval]))", "keys/s")),
            chart("Bytes copied", "Of their values.", ("sum(rate(conv_copied_bytes_total{@}[$__rate_interval]))", "bytes"), unit="Bps"),
            chart("Scripts", "Scripts whose changes were looked for, the keys found, and those whose changes only a verify can find.", ("sum(rate(conv_scripts_traced_total{@}[$__rate_interval]))", "traced"),
                  ("sum(rate(conv_scripts_keys_total{@}[$__rate_interval]))", "keys found"), ("sum(rate(conv_scripts_unseen_total{@}[$__rate_interval]))", "unseen"), unit="ops"),
            chart("Clock", "Redis's clock minus the proxy's. From 500 ms on the promise is lower.", ("max by (instance) (convproxy_redis_clock_offset_seconds{@})", "{{instance}}"), unit="s", minimum=-1,
                  thresholds=steps(GREEN, (0.4, YELLOW), (0.5, RED))),
        ),
        row(
            "Moves",
            chart("Moves that run or wait", "One at a time; convctl moves shows their progress.", ('sum by (kind, state) (conv_moves{@,state=~"running|waiting"})', "{{kind}} {{state}}"), width=12),
            table("Moves", "How many there were of each kind, and how they ended, since the proxy started.", "sum by (kind, state) (conv_moves{@}) > 0", width=12),
            chart("Keys that differ", "Found by verify, without those that it repaired.", ("max by (policy) (conv_verify_mismatches{@policy})", "{{policy}}"), width=12, thresholds=steps(GREEN, (1, RED))),
            chart("Epoch", "It grows with every change of who acts.", ("max by (instance) (conv_epoch{@})", "{{instance}}"), width=12),
        ),
    )
