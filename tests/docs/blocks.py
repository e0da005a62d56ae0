"""Blocks of commands in a page of Markdown, and whether what they print is what the page says.

    ```console      lines "$ command" (goes on in lines "> …"), and below each what it prints
    ```bash         commands whose output is not shown; each line must end with 0
    ```yaml         settings of the proxy: --check-config takes them

    <!-- world: redis; convproxy --set log.level=debug -->   from here on a new world with these in it (world.py)
    <!-- not run: why -->                                    the next block is left out
    <!-- exit: 1 -->                                         the last command of the next block ends with 1

In what is shown "…" stands for anything within a line, and a line "…" for any lines. Times, durations, rates and decimal numbers
differ from run to run: they match whatever is one, too."""
import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^(?P<indent> *)```(?P<lang>\w*) *$")
NOTE = re.compile(r"^ *<!-- (?P<what>world|not run|exit): *(?P<text>.*?) *-->$")
LANGUAGES = {"console", "bash", "yaml"}


@dataclass
class Step:
    line: int
    command: str
    shown: list = field(default_factory=list)
    checks_output: bool = True
    code: int = 0


@dataclass
class Block:
    line: int
    language: str
    text: list
    world: str = ""  # not empty: a new one is made before this block
    not_run: str = ""
    code: int = 0

    def steps(self):
        return {"console": console_steps, "bash": bash_steps, "yaml": yaml_steps}[self.language](self)


def console_steps(block):
    steps = []
    for number, text in enumerate(block.text, block.line + 1):
        if text.startswith("$ "):
            steps.append(Step(number, text[2:]))
        elif text.startswith("> ") and steps and not steps[-1].shown:
            steps[-1].command += "\n" + text[2:]
        elif steps:
            steps[-1].shown.append(text)
        elif text.strip():
            raise ValueError(f"line {number}: output before the first command")
    for step in steps:
        while step.shown and not step.shown[-1].strip():
            step.shown.pop()
    if steps:
        steps[-1].code = block.code
    return steps


def bash_steps(block):
    """One step: what is set in a line is known in the next, and the first that fails is told."""
    return [Step(block.line, "\n".join(block.text), checks_output=False, code=block.code)]


def yaml_steps(block):
    text = "\n".join(block.text)
    command = f"cat >.block.yaml <<'END_OF_BLOCK'\n{text}\nEND_OF_BLOCK\nconvproxy --check-config --config .block.yaml"
    return [Step(block.line, command, checks_output=False)]


def blocks_of(text):
    """All fenced blocks of the page in their order, also those of other languages."""
    found, notes, opened = [], {}, None
    for number, line in enumerate(text.splitlines(), 1):
        fence, note = FENCE.match(line), NOTE.match(line)
        if opened is not None:
            if fence and not fence["lang"]:
                found.append(opened)
                opened, notes = None, {}
            else:
                opened.text.append(line.removeprefix(indent))
        elif fence:
            indent = fence["indent"]
            opened = Block(number, fence["lang"], [], notes.get("world", ""), notes.get("not run", ""), int(notes.get("exit", 0)))
        elif note:
            notes[note["what"]] = note["text"]
    return found


def runnable(text):
    return [b for b in blocks_of(text) if b.language in LANGUAGES and not b.not_run]


VARYING = [
    (re.compile(r"\b\d{8}-\d{6}\b"), "<stamp>"),
    (re.compile(r"\b[\d,.]+(/s| keys/s)"), "<rate>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ns|µs|us|ms|s|min|h|d)\b"), "<duration>"),
    (re.compile(r"\b\d+\.\d+([eE][+-]?\d+)?\b"), "<decimal>"),
]


def settled(line):
    line = line.rstrip()
    for pattern, name in VARYING:
        line = pattern.sub(name, line)
    return re.sub(r" {2,}", "  ", line)  # columns move with the width of what stands in them


def line_pattern(shown):
    return re.compile(".*?".join(re.escape(settled(part)) for part in shown.split("…")) + r"\s*")


def aged(command, shown, printed):
    """A TTL has become some seconds shorter until it is asked for."""
    number = re.compile(r"\(integer\) (\d+)")
    pairs = [(number.fullmatch(a), number.fullmatch(b)) for a, b in zip(shown, printed)]
    if not re.search(r"\bTTL\b", command) or len(shown) != len(printed) or not all(a and b for a, b in pairs):
        return printed
    return [a[0] if 0 <= int(a[1]) - int(b[1]) <= 60 else b[0] for a, b in pairs]


def matches(shown, printed):
    """Whether the lines of a page describe the lines that were printed."""
    if not shown:
        return not printed
    if shown[0].strip() == "…":
        return any(matches(shown[1:], printed[skip:]) for skip in range(len(printed) + 1))
    if not printed or not line_pattern(shown[0]).fullmatch(settled(printed[0])):
        return False
    return matches(shown[1:], printed[1:])
