"""Prometheus' text format, read into a dict."""
import re

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """{'redis_up': 1.0, 'conv_commands_total{command="get",policy="conv"}': 7.0}; labels sorted by name."""
    samples = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _SAMPLE.match(line)
        assert match, f"not a sample line: {line!r}"
        name, labels, value = match.groups()
        if labels:
            pairs = ",".join(f'{key}="{text}"' for key, text in sorted(_LABEL.findall(labels)))
            name = f"{name}{{{pairs}}}"
        assert name not in samples, f"{name} is there twice"
        samples[name] = float(value)
    return samples
