"""Places: numbers and the order of what is found must be Redis's."""
import random

SICILY = ("GEOADD", "g", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania", "12.758489", "38.788135", "edge1", "17.241510", "38.788135", "edge2")
ODD = ("ZADD", "g", "-1", "minus", "1e18", "huge", "inf", "inf", "-inf", "-inf", "4503599627370496", "over", "1.5", "half", "1e300", "far", "18446744073709551615", "u64")
POINTS = [("0", "0"), ("180", "85.05112878"), ("-180", "-85.05112878"), ("180.1", "0"), ("0", "85.06"), ("x", "0"), ("0", "x"), ("nan", "0"), ("inf", "0"), ("1e-9", "-1e-9"), ("-0", "-0"), ("", ""), ("0.1", "66.5")]
SEARCH = [
    ("FROMLONLAT", "15", "37", "BYRADIUS", "200", "km"), ("FROMLONLAT", "15", "37", "BYBOX", "400", "400", "KM"), ("FROMMEMBER", "Palermo", "BYRADIUS", "200", "km"), ("FROMMEMBER", "nobody", "BYRADIUS", "200", "km"),
    ("FROMMEMBER", "Palermo", "FROMLONLAT", "1", "1"), ("FROMLONLAT", "15", "37", "FROMMEMBER", "Palermo"), ("BYRADIUS", "1", "m", "BYBOX", "1", "1", "m"), ("BYBOX", "1", "1", "m", "BYRADIUS", "1", "m"),
    ("FROMLONLAT", "15", "37", "BYRADIUS", "-1", "km"), ("FROMLONLAT", "15", "37", "BYRADIUS", "x", "km"), ("FROMLONLAT", "15", "37", "BYRADIUS", "1", "parsec"), ("FROMLONLAT", "15", "37", "BYBOX", "-1", "1", "km"),
    ("FROMLONLAT", "15", "37", "BYBOX", "x", "1", "km"), ("FROMLONLAT", "15", "37", "BYBOX", "1", "x", "km"), ("FROMLONLAT", "15", "37", "BYBOX", "1", "1", "x"), ("FROMLONLAT", "15", "37"), ("FROMLONLAT", "200", "37"),
    ("BYRADIUS", "200", "km", "ASC", "DESC"), ("FROMLONLAT", "15", "37", "BYRADIUS", "200"), ("FROMMEMBER",), ("FROMLONLAT", "15", "37", "BYRADIUS", "0", "m"), ("FROMMEMBER", "Palermo", "BYRADIUS", "0", "m"),
    ("FROMLONLAT", "15", "37", "BYRADIUS", "inf", "mi"), ("FROMMEMBER", "Palermo", "FROMMEMBER", "Catania", "BYRADIUS", "10", "km"),
]  # fmt: skip
OPTIONS = [(), ("ASC",), ("DESC",), ("WITHDIST",), ("WITHCOORD", "WITHDIST", "WITHHASH"), ("COUNT", "1"), ("COUNT", "2", "ANY"), ("COUNT", "2", "DESC", "WITHDIST"), ("COUNT", "0"), ("COUNT", "-1"), ("COUNT", "x"), ("COUNT",),
           ("ANY",), ("ANY", "COUNT", "1"), ("STORE", "d"), ("STOREDIST", "d"), ("STOREDIST",), ("STORE",), ("STORE", "d", "STOREDIST", "e"), ("STORE", "d", "WITHDIST"), ("STOREDIST", "WITHDIST"), ("FOO",), ("ASC", "STORE", "g")]  # fmt: skip
DEST = [("TYPE", "d"), ("ZRANGE", "d", "0", "-1", "WITHSCORES"), ("OBJECT", "ENCODING", "d")]


def towns(seed, n=150):
    """Random places all over the world; half of them close together."""
    r = random.Random(seed)
    near = r.uniform(-179, 179), r.uniform(-84, 84)
    add = ["GEOADD", "g"]
    for i in range(n):
        lon, lat = (r.uniform(-180, 180), r.uniform(-85, 85)) if i % 2 else (near[0] + r.uniform(-1, 1), near[1] + r.uniform(-1, 1))
        add += [f"{lon:.6f}", f"{lat:.6f}", f"t{i}"]
    yield tuple(add)
    for _ in range(12):
        at = (f"{r.uniform(-180, 180):.5f}", f"{r.uniform(-85, 85):.5f}") if r.random() < 0.4 else (f"{near[0]:.5f}", f"{near[1] + r.uniform(-0.5, 0.5):.5f}")
        size, side = (f"{10 ** r.uniform(0, 4.3):.3f}" for _ in range(2))
        order = r.choice([(), ("ASC",), ("DESC",), ("COUNT", "9", "ANY")])
        yield ("GEOSEARCH", "g", "FROMLONLAT", *at, "BYRADIUS", size, "km", "WITHDIST", *order)
        yield ("GEOSEARCH", "g", "FROMLONLAT", *at, "BYBOX", size, side, "km", "WITHDIST", *order)
        yield ("GEORADIUSBYMEMBER", "g", f"t{r.randrange(n)}", size, "mi", "WITHCOORD", "WITHHASH", *order)


SAMPLES = [
    [SICILY, ("GEOADD", "g", "NX", "1", "1", "Palermo"), ("GEOADD", "g", "XX", "CH", "1", "1", "Palermo", "2", "2", "new"), ("GEOADD", "g", "CH", "1", "1", "Palermo", "2", "2", "new"), ("ZRANGE", "g", "0", "-1", "WITHSCORES"),
     ("GEOADD", "g", "NX", "XX", "1", "1", "a"), ("GEOADD", "g", "1", "1"), ("GEOADD", "g", "NX", "CH", "XX"), ("GEOADD", "g", "GT", "1", "1", "a"), ("GEOADD", "g", "1", "1", "a", "2"), ("GEOADD", "g", "NX", "1", "1"), ("OBJECT", "ENCODING", "g")],
    *[[("GEOADD", "g", *p, "m"), ("ZSCORE", "g", "m"), ("GEOPOS", "g", "m", "none"), ("GEOHASH", "g", "m", "none"), ("GEOADD", "g", "1", "1", "n", *p, "o"), ("GEODIST", "g", "m", "n"), ("GEORADIUS", "g", *p, "100", "km"),
       ("GEOSEARCH", "g", "FROMLONLAT", *p, "BYRADIUS", "100", "km", "WITHDIST", "ASC")] for p in POINTS],
    [SICILY, ("GEOPOS", "g"), ("GEOPOS", "g", "Palermo", "x", "Catania"), ("GEOHASH", "g"), ("GEOHASH", "g", "Palermo", "x", "Catania"), ("GEOPOS", "none", "a"), ("GEOHASH", "none", "a"), ("GEODIST", "g", "Palermo"),
     *[("GEODIST", "g", "Palermo", "Catania", *u) for u in ((), ("m",), ("KM",), ("ft",), ("mi",), ("x",), ("",), ("m", "m"))], ("GEODIST", "g", "Palermo", "x"), ("GEODIST", "none", "a", "b"), ("GEODIST", "g", "Palermo", "Palermo")],
    [ODD, ("GEOPOS", "g", "minus", "huge", "inf", "-inf", "over", "half", "far", "u64"), ("GEOHASH", "g", "minus", "huge", "inf", "-inf", "over", "half", "far", "u64"), ("GEODIST", "g", "minus", "half")],
    [("SET", "t", "v"), ("GEOADD", "t", "1", "1", "a"), ("GEOADD", "t", "x", "1", "a"), ("GEOPOS", "t", "a"), ("GEOHASH", "t", "a"), ("GEODIST", "t", "a", "b"), ("GEODIST", "t", "a", "b", "x"), ("GEORADIUS", "t", "x", "1", "1", "m"),
     ("GEORADIUSBYMEMBER", "t", "x", "1", "m"), ("GEOSEARCH", "t", "FROMLONLAT", "x", "1", "BYRADIUS", "1", "m"), ("GEOSEARCHSTORE", "d", "t", "FROMLONLAT", "1", "1", "BYRADIUS", "1", "m")],
    *[[SICILY, ("GEOSEARCH", "g", *s, *o), ("GEOSEARCH", "none", *s, *o), ("geoSearch", "g", *s, *o), ("SET", "d", "v"), ("GEOSEARCHSTORE", "d", "g", *s, *o), *DEST, ("GEOSEARCHSTORE", "d", "none", *s, *o), ("EXISTS", "d")]
      for s in SEARCH for o in OPTIONS],
    *[[SICILY, ("SET", "d", "v"), ("GEORADIUS", "g", "15", "37", "200", "km", *o), *DEST, ("GEORADIUS_RO", "g", "15", "37", "200", "km", *o), ("GEORADIUSBYMEMBER", "g", "Palermo", "200", "km", *o), *DEST,
       ("GEORADIUSBYMEMBER_RO", "g", "Palermo", "200", "km", *o), ("GEORADIUS", "none", "15", "37", "200", "km", *o), ("EXISTS", "d"), ("GEORADIUSBYMEMBER", "none", "x", "x", "x", *o), ("GEORADIUSBYMEMBER", "g", "x", "1", "km", *o)]
      for o in OPTIONS],
    [SICILY, *[("GEORADIUS", "g", *a) for a in (("x", "1", "1", "m"), ("1", "x", "1", "m"), ("1", "1", "x", "m"), ("1", "1", "-1", "m"), ("1", "1", "1", "x"), ("200", "1", "1", "m"), ("1", "1", "1"))], ("GEORADIUS", "none", "x", "1", "1", "m")],
    *[list(towns(seed)) for seed in range(25)],
]  # fmt: skip
