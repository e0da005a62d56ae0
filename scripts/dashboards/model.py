"""From a few words for each panel to what Grafana reads: places, ids, units, colours, the selectors of the queries."""

import re

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "convproxy-prometheus"}
PROXIES = 'job="convproxy",instance=~"$instance"'
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


def expand(query):
    """redis_up{@} -> redis_up{job="convproxy",instance=~"$instance"}"""
    return re.sub(r"\{@(policy)?", lambda found: "{" + PROXIES + (',policy=~"$policy"' if found[1] else ""), query)


def steps(*pairs):
    """steps(GREEN, (80, YELLOW), (95, RED)): colours from these values on."""
    first, *rest = pairs
    return [{"color": first, "value": None}, *({"color": color, "value": value} for value, color in rest)]


def words(*pairs):
    """words((0, "down", RED), …): what numbers mean."""
    options = {str(value): {"text": text, "color": color, "index": index} for index, (value, text, color) in enumerate(pairs)}
    return [{"type": "value", "options": options}]


def target(index, query, legend):
    # A table shows one row for each series as it is now.
    return {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expand(query), "legendFormat": legend, "range": True}


def panel(kind, title, about, queries, unit="short", width=8, height=8, **more):
    """queries: [(query, legend), …]. more: thresholds, mappings, minimum, maximum, decimals, stacked, options."""
    defaults = {"unit": unit, "color": {"mode": more.get("color", "palette-classic")}, "mappings": more.get("mappings", [])}
    defaults["thresholds"] = {"mode": "absolute", "steps": more.get("thresholds", steps(GREEN))}
    defaults.update({key: more[name] for name, key in (("minimum", "min"), ("maximum", "max"), ("decimals", "decimals")) if name in more})
    if "custom" in more:
        defaults["custom"] = more["custom"]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": more.get("options", {}),
        "targets": [target(index, query, legend) for index, (query, legend) in enumerate(queries)],
    }


def chart(title, about, *queries, **more):
    """Lines over time. line: draws the thresholds too."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if more.get("stacked") else 8, "showPoints": "never", "spanNulls": False}
    if more.pop("stacked", False):
        custom["stacking"] = {"mode": "normal", "group": "A"}
    if "thresholds" in more:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, about, queries, custom=custom, options=options, minimum=more.pop("minimum", 0), **more)


def number(title, about, query, legend="", **more):
    """The newest value, large."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background" if "mappings" in more else "value",
        "graphMode": "none" if "mappings" in more else "area",
        "textMode": "value_and_name" if legend else "auto",
    }
    more = {"width": 3, "height": 4, "color": "thresholds", **more}
    return panel("stat", title, about, [(query, legend)], options=options, **more)


def states(title, about, query, legend, mappings, **more):
    """Bands over time: what was when."""
    options = {"showValue": "auto", "mergeValues": True, "rowHeight": 0.9, "alignValue": "left", "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
               "tooltip": {"mode": "single"}}
    more = {"width": 24, "height": 5, **more}
    return panel("state-timeline", title, about, [(query, legend)], mappings=mappings, color="thresholds", custom={"lineWidth": 0, "fillOpacity": 75}, options=options, **more)


def heat(title, about, query, **more):
    """Where requests fall, from a histogram."""
    options = {"calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Spectral", "steps": 64}, "yAxis": {"unit": "s"}}
    made = panel("heatmap", title, about, [(query, "{{le}}")], options=options, **more)
    made["targets"][0]["format"] = "heatmap"
    return made


def table(title, about, query, hidden=(), **more):
    """One row for each series, as it is now."""
    made = panel("table", title, about, [(query, "")], options={"showHeader": True}, **more)
    made["targets"][0].update({"format": "table", "instant": True, "range": False})
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": {name: True for name in ("Time", "__name__", "job", *hidden)}, "indexByName": {}, "renameByName": {}}}]
    return made


def row(title, *panels):
    return {"title": title, "panels": list(panels)}


def quantiles(histogram, *shares, by="le"):
    """Queries for chart(): percentiles of a histogram's buckets, which is given with its selector."""
    return [(f"histogram_quantile({share}, sum by ({by}) (rate({histogram}[$__rate_interval])))", f"P{share * 100:g}") for share in shares]


def variable(name, label, metric):
    query = f"label_values({metric}, {name})"
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1,
            "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "hide": 0}


def annotation(name, query, title, text, color):
    return {"name": name, "datasource": SOURCE, "enable": True, "hide": False, "iconColor": color, "expr": expand(query), "step": "15s", "titleFormat": title, "textFormat": text}


ANNOTATIONS = [
    annotation("stores change places", 'changes(conv_acting_primary{@,store="archive"}[1m]) > 0', "{{policy}}: the stores change places", "{{instance}}", "purple"),
    annotation("failover", "increase(conv_failovers_total{@}[1m]) > 0", "{{policy}}: Redis was lost, the archive takes over", "{{instance}}", RED),
    annotation("proxy started", "changes(process_start_time_seconds{@}[1m]) > 0", "a new proxy process", "{{instance}}", BLUE),
]


def placed(rows):
    """Panels with ids and places: from left to right, a new line where there is no room; rows are headings."""
    found, y = [], 0
    for each in rows:
        found.append({"type": "row", "title": each["title"], "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        x, tallest, y = 0, 0, y + 1
        for made in each["panels"]:
            place = made["gridPos"]
            if x + place["w"] > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            made["gridPos"] = {"x": x, "y": y, **place}
            x, tallest = x + place["w"], max(tallest, place["h"])
            found.append(made)
        y += tallest
    for number_of, made in enumerate(found, 1):
        made["id"] = number_of
    return found


def dashboard(uid, title, about, *rows):
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["convproxy"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": ANNOTATIONS},
        "templating": {"list": [variable("instance", "proxy", 'convproxy_build_info{job="convproxy"}'), variable("policy", "policy", 'conv_acting_primary{job="convproxy"}')]},
        "links": [{"type": "dashboards", "tags": ["convproxy"], "title": "convproxy", "asDropdown": True, "includeVars": True, "keepTime": True, "icon": "external link",
                   "targetBlank": False, "tooltip": "", "url": ""}],
        "panels": placed(rows),
    }
