"""SORT with BY and GET: keys that the arguments do not name."""

FILL = [
    ("RPUSH", "l", "3", "1", "2"), ("MSET", "w_1", "30", "w_2", "-10.5", "w_3", "20", "n_1", "b", "n_2", "c", "n_3", "a"),
    ("HSET", "h_1", "rank", "5", "r", "x"), ("HSET", "h_2", "rank", "4"),
]  # fmt: skip
SAMPLES = [
    [*FILL, ("SORT", "l", "BY", "w_*")],
    [*FILL, ("SORT", "l", "BY", "w_*", "DESC", "GET", "#", "GET", "n_*", "GET", "h_*->rank")],
    [*FILL, ("SORT", "l", "BY", "h_*->rank", "LIMIT", "1", "2")],
    [*FILL, ("SORT", "l", "BY", "n_*", "ALPHA", "GET", "h_*->r"), ("SORT", "l", "BY", "n_*")],
    [*FILL, ("SORT", "l", "BY", "nosort", "GET", "w_*", "STORE", "out"), ("LRANGE", "out", "0", "-1")],
    [*FILL, ("SORT_RO", "l", "BY", "w_*", "GET", "l"), ("SORT", "l", "GET", "h_*->"), ("SORT", "none", "BY", "w_*")],
]
