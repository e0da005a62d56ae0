"""Whether what clients saw of one key can be put into one order that agrees with real time: the search of Wing and Gong, with
Lowe's memory of the states already tried. For registers and locks, whose every value is written once.

An operation of which nobody knows may be left out, or take effect at any time after its begin."""
BUDGET = 300_000
UNDECIDED = "undecided"
_REFUSED = object()


def unheard(op):
    """Done, but its answer is not known: -INDOUBT."""
    return isinstance(op.reply, str) and op.reply.startswith("INDOUBT")


def effect(op, state):
    """The state after op, or _REFUSED when op can't have answered what it answered."""
    blind = op.outcome != "ok" or unheard(op)
    if op.op == "set":
        return op.value
    if op.op == "delete":
        return None
    if op.op == "acquire":
        if blind:
            return op.value if state is None else state
        if op.reply:
            return op.value if state is None else _REFUSED
        return state if state is not None else _REFUSED
    return state if state == op.reply else _REFUSED  # a read


def needed(ops):
    """Without what explains nothing: reads without an answer, and sets without one that nobody has read."""
    read = {op.reply for op in ops if op.op == "read" and op.outcome == "ok"}
    return [op for op in ops if op.outcome == "ok" or (op.op != "read" and (op.op != "set" or op.value in read))]


def could_be_next(ops, done):
    """Those that begin before the first of the rest has surely ended; and that one, None when nothing is sure any more."""
    able, first = [], None
    at = (~done & (done + 1)).bit_length() - 1
    while at < len(ops) and (first is None or ops[at].invoked <= first.returned):
        if not done >> at & 1:
            able.append(at)
            if ops[at].outcome == "ok" and (first is None or ops[at].returned < first.returned):
                first = ops[at]
        at += 1
    return able, first


def explain(ops):
    """None: there is such an order. Else the operation before which all orders end, or UNDECIDED."""
    ops = sorted(needed(ops), key=lambda op: op.invoked)
    tried, stack, deepest, steps = {(0, None)}, [(0, None)], (-1, None), 0
    while stack:
        done, state = stack.pop()
        able, first = could_be_next(ops, done)
        if first is None:
            return None
        if done.bit_count() > deepest[0]:
            deepest = (done.bit_count(), first)
        for at in reversed(able):
            if ops[at].invoked > first.returned:
                continue
            steps += 1
            after = (done | 1 << at, effect(ops[at], state))
            if after[1] is not _REFUSED and after not in tried:
                tried.add(after)
                stack.append(after)
        if steps > BUDGET:
            return UNDECIDED
    return deepest[1]
