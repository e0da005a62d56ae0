"""JSON over HTTP: the proxy's admin server, Prometheus, Alertmanager."""

import json
import urllib.error
import urllib.parse
import urllib.request


def get(url, timeout=5.0):
    """The body, as text. Raises OSError (urllib's errors are some) when there is no good answer."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def get_json(url, timeout=5.0):
    return json.loads(get(url, timeout))


def answers(url):
    """Whether it answers well; for ready checks."""
    get(url, timeout=1.0)
    return True


class Admin:
    """The proxy's admin server."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def state(self):
        return get_json(f"{self.url}/api/v1/state")

    def policy(self, name="conv"):
        return next(policy for policy in self.state()["policies"] if policy["name"] == name)


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expression, at=None):
        """[(labels, value), …]; raises OSError with Prometheus' own words when the expression is wrong."""
        data = self._ask("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def range(self, expression, start, end, step):
        """[(labels, [value, …]), …]"""
        data = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return [(series["metric"], [float(value) for _, value in series["values"]]) for series in data["result"]]

    def alerts(self):
        """{name: "pending" or "firing"}"""
        found = {}
        for alert in get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"]:
            name = alert["labels"]["alertname"]
            found[name] = "firing" if "firing" in (alert["state"], found.get(name)) else alert["state"]
        return found

    def _ask(self, call, **arguments):
        url = f"{self.url}/api/v1/{call}?{urllib.parse.urlencode(arguments)}"
        try:
            return get_json(url)["data"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise OSError(f"{arguments['query']}: {refusal.read().decode()}") from None
