"""The console, in Chromium: every control is used as a person uses it, and its effect looked for in the stores. After each test the
page must have had no error, broken no rule of its Content-Security-Policy, and asked no other host."""
import hashlib
import json
import re

import pytest
from harness import RespConn, eventually
from harness.browser import Console, browser, expect
from harness.proxy import ROOT

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

PROXY_SETTINGS = {"failover.return_after": "300ms", "redis.probe_interval": "100ms", "sync.rate": 100000}
PAGES = ["Overview", "Conversations", "Moves", "Quarantine", "Events", "Traffic", "Settings"]
HOSTILE = 'conv:<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def chromium():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def tab(chromium, proxy):
    """One tab for all tests; what a test leaves open is closed before the next."""
    one = Console(chromium, proxy)
    yield one
    one.close()


@pytest.fixture
def console(tab, real):
    tab.afresh()
    expect(tab.page.get_by_label("Policy conv").locator('[data-acting="yes"]')).to_contain_text("Redis")
    expect(tab.page.get_by_role("switch", name="Dual writes")).to_be_checked()
    yield tab
    tab.check()


def policy(proxy):
    return proxy.get_json("/api/v1/state")["policies"][0]


def acts(proxy, store):
    eventually(lambda: policy(proxy)["place"] == store, timeout=15)


def moves(proxy):
    return proxy.get_json("/api/v1/moves")["moves"]


@pytest.fixture
def settled(proxy):
    """Whatever the test does, the next finds Redis acting, with dual writes."""
    yield
    proxy.post_json("/api/v1/dual-write", {"policy": "conv", "on": True})
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "redis"})
    acts(proxy, "redis")


# ---- what is shown ----


def test_the_head_says_who_answers_and_what_is_promised(console, conn):
    page = console.page
    expect(console.title()).to_have_text("All is well")
    expect(page.locator("#verdict-text")).to_contain_text("Redis answers conv. Acknowledged writes are in both stores")
    assert conn.cmd("CONFIG", "SET", "conv.ack", "primary") == "OK"
    try:
        expect(console.title()).to_have_text("Serving, with less protection than usual")
        expect(page.locator("#verdict-notes")).to_contain_text("ack")
        expect(page.get_by_label("Policy conv")).to_contain_text("promise: archived")
    finally:
        conn.cmd("CONFIG", "SET", "conv.ack", "both")
    expect(console.title()).to_have_text("All is well")


def test_both_stores_tell_of_themselves(console, proxy, conn):
    for i in range(3):
        conn.cmd("RPUSH", f"conv:{i}", "hello")
    state = proxy.get_json("/api/v1/state")
    redis = console.page.locator('[data-store-card="redis"]')
    archive = console.page.locator('[data-store-card="archive"]')
    expect(redis).to_contain_text(state["redis"]["version"])
    expect(redis).to_contain_text("noeviction")
    expect(redis.locator(".chip")).to_have_text("up")
    expect(archive).to_contain_text("sqlite")
    expect(archive.locator("dt:text-is(\"Documents\") + dd")).to_have_text("3")


def test_charts_of_what_was_before_the_page_was_opened(console, conn):
    page = console.page
    for i in range(200):
        conn.cmd("RPUSH", f"conv:{i % 7}", "hello")
    throughput = page.locator('[data-chart="throughput"]')
    expect(page.locator("figure canvas")).to_have_count(6)
    expect(throughput).not_to_have_attribute("aria-label", re.compile("not known"))
    for label, seconds in (("1 min", 60), ("2 h", 7200), ("10 min", 600)):
        with page.expect_response(lambda answer, seconds=seconds: f"seconds={seconds}" in answer.url):
            console.button(label).click()
        expect(console.button(label)).to_have_attribute("aria-pressed", "true")
    expect(throughput).to_have_attribute("aria-label", re.compile(r"requests [\d.]+/s"))


def test_a_late_answer_is_not_drawn_over_a_newer_one(chromium, proxy):
    """Two choices of a range, while what was asked before the first is under way: it is part of an answer that is not shown any more."""
    tab = Console(chromium, proxy).open()
    page, held = tab.page, []
    throughput = page.locator('[data-chart="throughput"]')
    expect(throughput).not_to_have_attribute("aria-label", re.compile("not known"))

    def answer(route, requests):
        route.fulfill(json={"step_s": 1, "time": [1000 + requests], "requests": [requests], "acting": {}})

    page.route(re.compile("/api/v1/series"), lambda route: held.append(route) if not held else answer(route, 222))
    eventually(lambda: page.wait_for_timeout(20) or held)
    tab.button("1 min").click()
    tab.button("10 min").click()
    expect(throughput).to_have_attribute("aria-label", re.compile("requests 222/s"))
    with page.expect_response(lambda response: response.url == held[0].request.url):
        answer(held[0], 111)
    page.wait_for_function("new Promise((done) => setTimeout(() => done(true), 50))")  # it is read, and drawn or not
    assert "requests 222/s" in throughput.get_attribute("aria-label")
    tab.check()
    tab.close()


def test_commands_can_be_sorted(console, conn):
    for _ in range(5):
        conn.cmd("GET", "greeting")
    conn.cmd("LPUSH", "conv:1", "x")
    console.go("Traffic")
    names = console.page.locator("tbody tr td:first-child")
    expect(names.filter(has_text=re.compile("^GET$"))).to_have_count(1)
    console.button(re.compile("^Command"), exact=False).click()
    expect(console.page.locator("th").first).to_have_attribute("aria-sort", "ascending")
    shown = names.all_inner_texts()
    assert shown == sorted(shown) and "GET" in shown
    console.button(re.compile("^Command"), exact=False).click()
    eventually(lambda: names.all_inner_texts() == sorted(shown, reverse=True))


# ---- switches ----


def switch(console, store):
    """Clicks through a switch, and waits until the dialog says that it is done."""
    name = "Redis" if store == "redis" else "the archive"
    console.button(f"Let {name} answer conv").click()
    expect(console.dialog).to_contain_text("To undo:")
    console.confirm(f"Switch to {name}")
    expect(console.dialog.get_by_role("status")).to_contain_text("Done in", timeout=20_000)
    console.confirm("Close")


def test_a_click_lets_the_other_store_answer_and_back(console, proxy, conn, real, settled):
    conn.cmd("RPUSH", "conv:1", "one", "two")
    switch(console, "archive")
    assert policy(proxy)["acting"] == "archive"
    expect(console.page.get_by_label("Policy conv").locator('[data-acting="yes"]')).to_contain_text("The archive")
    expect(console.page.locator("#verdict-text")).to_contain_text("The archive answers conv")
    assert conn.cmd("RPUSH", "conv:1", "three") == 3
    assert real.lrange("conv:1", 0, -1) == ["one", "two"], "Redis must not see what the archive alone has"
    switch(console, "redis")
    assert policy(proxy)["acting"] == "redis"
    assert real.lrange("conv:1", 0, -1) == ["one", "two", "three"]


def test_the_dialog_says_what_will_happen_now(console, proxy, conn, settled):
    console.button("Let the archive answer conv").click()
    will = console.dialog.locator(".will li")
    expect(will).to_have_count(3)
    expect(will.first).to_have_text("The archive lacks nothing: no key is owed to it.")
    console.confirm("Cancel")
    conn.cmd("CONFIG", "SET", "conv.dual_write", "no")
    expect(console.page.get_by_role("switch", name="Dual writes")).not_to_be_checked()
    console.button("Let the archive answer conv").click()
    expect(console.dialog).to_contain_text("Dual writes are off: what was never copied")
    console.confirm("Cancel")
    assert policy(proxy)["acting"] == "redis"


def press_until(page, key, done, most=60):
    for _ in range(most):
        if done():
            return
        page.keyboard.press(key)
    raise AssertionError(f"{most} times {key} did not get there")


def test_a_switch_with_the_keyboard_only(console, proxy, settled):
    page = console.page
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    page.reload()  # the focus is nowhere
    console.expect_live()
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the content"
    page.keyboard.press("Enter")
    press_until(page, "Tab", lambda: page.evaluate(focused) == "Let the archive answer conv")
    page.keyboard.press("Enter")
    expect(console.dialog).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || document.activeElement.closest('dialog') !== null")
    # Between the last button and the first the focus is the browser's own, which does not give it back to the page.
    press_until(page, "Tab", lambda: page.evaluate("document.activeElement.closest('dialog') !== null"))
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(console.button("Let the archive answer conv")).to_be_focused()  # back where it was
    page.keyboard.press("Enter")
    press_until(page, "Tab", lambda: page.evaluate(focused) == "Switch to the archive")
    page.keyboard.press("Enter")
    expect(console.dialog.get_by_role("status")).to_contain_text("Done in", timeout=20_000)
    page.keyboard.press("Escape")
    assert policy(proxy)["acting"] == "archive"


def test_dual_writes_off_and_on(console, proxy, conn, settled):
    dual = console.page.get_by_role("switch", name="Dual writes")
    dual.click()
    expect(console.dialog).to_contain_text("The promise falls")
    console.confirm("Switch off")
    expect(dual).not_to_be_checked()
    assert policy(proxy)["dualWriteWanted"] is False
    expect(console.title()).to_have_text("Serving, with less protection than usual")
    conn.cmd("RPUSH", "conv:alone", "only in Redis")
    before = moves(proxy)[0]["id"]
    dual.click()
    console.confirm("Switch on")
    expect(dual).to_be_checked()
    eventually(lambda: moves(proxy)[0]["id"] > before and moves(proxy)[0]["kind"] == "backfill")
    eventually(lambda: moves(proxy)[0]["state"] == "done")
    expect(console.title()).to_have_text("All is well")


# ---- moves ----


def order(console, kind, deep=False, repair=False, rate=""):
    page = console.page
    page.get_by_role("combobox", name="Order").select_option(label=kind)
    page.get_by_label("Keys a second, at most").fill(str(rate))
    for label, wanted in (("Contents too (deep)", deep), ("Repair what is found", repair)):
        box = page.get_by_label(label)
        if box.is_visible():
            box.set_checked(wanted)
    console.button("Start").click()


def newest(console):
    return console.page.locator("article.move").first


def test_a_ttl_audit_and_its_repair(console, proxy, conn, real):
    conn.cmd("RPUSH", "conv:for ever", "x")
    conn.cmd("RPUSH", "conv:fine", "x")
    real.persist("conv:for ever")
    console.go("Moves")
    order(console, "TTL audit")
    expect(newest(console)).to_contain_text("1 key without an expiry")
    expect(newest(console)).to_have_attribute("data-state", "done")
    assert real.ttl("conv:for ever") == -1, "an audit alone changes nothing"
    newest(console).get_by_role("button", name=re.compile("Repair")).click()
    expect(console.dialog).to_contain_text("Each key without an expiry gets the policy's")
    console.confirm("Repair")
    expect(newest(console)).to_contain_text("1 repaired")
    assert real.ttl("conv:for ever") > 0


def test_a_verify_with_repair(console, proxy, conn, real):
    conn.cmd("RPUSH", "conv:1", "one")
    real.rpush("conv:1", "past the proxy")
    console.go("Moves")
    order(console, "Verify", deep=True)
    expect(newest(console)).to_contain_text("1 key that differs")
    order(console, "Verify", deep=True, repair=True)
    console.confirm("Repair")
    expect(newest(console)).to_contain_text("1 repaired")
    expect(newest(console)).to_have_attribute("data-state", "done")
    order(console, "Verify", deep=True)
    expect(newest(console)).to_contain_text("0 found")
    assert moves(proxy)[0]["deep"] is True


def test_keys_that_change_their_tier_do_not_differ(chromium, make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings={"conv.tiers": "yes", "conv.tier_warm_after": "1s", "tier.every": "0s"}).start()
    acts(proxy, "redis")
    with RespConn.to(proxy) as conn:
        conn.cmd("RPUSH", "conv:idle", "x")
    direct = fresh_redis.client()
    eventually(lambda: direct.object("idletime", "conv:idle") >= 1)
    tab = Console(chromium, proxy).open("moves")
    order(tab, "Tiers")
    expect(newest(tab)).to_have_attribute("data-state", "done")
    expect(newest(tab)).to_contain_text("1 key that changed its tier")
    expect(newest(tab).get_by_role("link", name="conv:idle")).to_be_visible()
    expect(newest(tab)).not_to_contain_text("differ")
    expect(newest(tab).get_by_role("button")).to_have_count(0)  # there is nothing to repair
    assert not direct.exists("conv:idle")
    tab.check()
    tab.close()
    direct.close()


def test_progress_abort_and_resume(console, proxy, conn):
    for i in range(50):
        conn.cmd("RPUSH", f"conv:{i}", "x")
    console.go("Moves")
    order(console, "Verify", rate=1)
    expect(newest(console)).to_have_attribute("data-state", "running")
    expect(newest(console).get_by_role("progressbar")).to_be_visible()
    expect(newest(console)).to_contain_text("at most 1/s")
    newest(console).get_by_role("button", name=re.compile("Abort")).click()
    console.confirm("Abort")
    expect(newest(console)).to_have_attribute("data-state", "aborted")
    assert moves(proxy)[0]["state"] == "aborted"
    newest(console).get_by_role("button", name=re.compile("Resume")).click()
    console.confirm("Resume")
    expect(newest(console)).to_have_attribute("data-state", "running")
    newest(console).get_by_role("button", name=re.compile("Abort")).click()
    console.confirm("Abort")
    expect(newest(console)).to_have_attribute("data-state", "aborted")


@pytest.mark.parametrize("kind", ["Backfill", "Drain"])
def test_other_orders(console, proxy, kind):
    console.go("Moves")
    before = moves(proxy)[0]["id"]
    order(console, kind)
    eventually(lambda: moves(proxy)[0]["id"] > before and moves(proxy)[0]["kind"] == kind.lower())
    expect(newest(console)).to_have_attribute("data-state", "done")


# ---- conversations ----


def find(console, pattern, key):
    """Looks for keys, and opens one."""
    page = console.page
    page.get_by_label("Pattern of keys").fill(pattern)
    console.button("Find").click()
    page.locator(".keys").get_by_role("button", name=key, exact=True).click()
    expect(page.locator(".conversation-key")).to_have_text(key)


def side_by_side(console):
    """[(text in Redis, text in the archive), …]"""
    cells = console.page.locator(".sides .cell")
    texts = [" ".join(text.split()) for text in cells.all_inner_texts()]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_a_chat_is_shown_as_one(console, conn):
    conn.cmd("RPUSH", "conv:chat", json.dumps({"role": "user", "content": "How are you?"}))
    conn.cmd("RPUSH", "conv:chat", json.dumps({"type": "ai", "data": {"content": "Fine.", "tool_calls": [{"name": "look_up"}]}}))
    conn.cmd("RPUSH", "conv:chat", "not JSON")
    conn.cmd("SET", "conv:array", json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]))
    console.go("Conversations")
    find(console, "conv:c*", "conv:chat")
    expect(console.page.locator(".card > header .chip")).to_have_text("Both stores hold the same")
    wanted = ["user How are you?", "assistant Fine. calls look_up", "not JSON"]
    assert side_by_side(console) == [(text, text) for text in wanted]
    assert console.page.locator('.cell[data-differs="yes"]').count() == 0
    find(console, "conv:array", "conv:array")
    expect(console.page.locator(".message[data-role=system]")).to_have_count(2)
    assert side_by_side(console) == [("system Be brief. user Hi",) * 2]


def test_what_differs_is_marked(console, proxy, conn, real):
    conn.cmd("RPUSH", "conv:d", "same", "same too")
    real.rpush("conv:d", "past the proxy")
    eventually(lambda: proxy.get_json("/api/v1/conversation?key=conv:d")["state"] == "different", timeout=10)  # no copy is owed
    console.go("Conversations")
    find(console, "conv:d", "conv:d")
    expect(console.page.locator(".card > header .chip")).to_have_text("The stores differ")
    assert side_by_side(console)[2] == ("Differs: past the proxy", "Differs: Not here")
    expect(console.page.locator('.cell[data-differs="yes"]')).to_have_count(2)
    expect(console.page.locator(".reasons")).to_contain_text("3")
    real.rpop("conv:d")
    console.button("Refresh").click()
    expect(console.page.locator(".card > header .chip")).to_have_text("Both stores hold the same")
    assert console.page.locator('.cell[data-differs="yes"]').count() == 0


def test_all_types_side_by_side(console, conn):
    for command in ("HSET conv:hash field value", "SADD conv:set b a", "ZADD conv:zset 1.5 member", "XADD conv:stream 1-1 name text"):
        conn.cmd(*command.split())
    console.go("Conversations")
    for key, shown in (
        ("conv:hash", ["field value"]), ("conv:set", ["a", "b"]), ("conv:zset", ["score 1.5 member"]), ("conv:stream", ["1-1 name: text"]),
    ):  # fmt: skip
        find(console, "conv:*", key)
        expect(console.page.locator(".sides .cell")).to_have_count(2 * len(shown))
        assert side_by_side(console) == [(text, text) for text in shown], key


def test_long_ones_come_in_pages_and_so_do_keys(console, conn):
    conn.cmd("RPUSH", "conv:long", *(f"message {i}" for i in range(120)))
    for i in range(120):
        conn.cmd("RPUSH", f"conv:many:{i}", "x")
    console.go("Conversations")
    find(console, "conv:long", "conv:long")
    head = console.page.get_by_label("Conversation", exact=True).locator("header")
    expect(head).to_contain_text("71–120 of 120")
    console.button("Earlier").click()
    expect(head).to_contain_text("21–70 of 120")
    assert side_by_side(console)[0] == ("message 20", "message 20")
    console.button("Later").click()
    expect(head).to_contain_text("71–120 of 120")
    console.page.get_by_label("Pattern of keys").fill("conv:many:*")
    console.button("Find").click()
    more = console.button("More keys")
    expect(more).to_be_visible()
    for _ in range(20):
        if console.page.locator(".keys button").count() == 120:
            break
        with console.page.expect_response(re.compile("/keys")):
            more.click()
    expect(console.page.locator(".keys button")).to_have_count(120)


def test_hostile_names_and_texts_stay_text(console, conn):
    page = console.page
    conn.cmd("RPUSH", HOSTILE, json.dumps({"role": "<b>user</b>", "content": "<script>document.title=1</script>"}), HOSTILE)
    conn.cmd("RPUSH", b"conv:\xff\x00 bytes", b"\xfe\x00")
    title = page.title()
    console.go("Conversations")
    find(console, "conv:*", HOSTILE)
    expect(page.locator(".sides")).to_contain_text("<script>document.title=1</script>")
    find(console, "conv:*", "conv:\\xff\\x00 bytes")
    expect(page.locator(".sides")).to_contain_text("base64:/gA=")
    assert page.locator("img, .sides script, .sides b").count() == 0
    assert page.title() == title


def test_a_store_that_is_down_is_told_beside_the_other(console, conn, redis_server, settled):
    conn.cmd("RPUSH", "conv:1", "kept")
    redis_server.kill()
    try:
        expect(console.title()).to_have_text("The archive answers conv in place of Redis")
        console.go("Conversations")
        find(console, "conv:1", "conv:1")
        expect(console.page.locator(".store-head").first).to_contain_text("Not known:")
        expect(console.page.locator(".sides")).to_contain_text("kept")
    finally:
        redis_server.start()


# ---- quarantine ----


@pytest.fixture
def torn(request, chromium, make_proxy, fresh_redis):
    """Redis was written to past the proxy while it was thought lost: two states of conv:a and of conv:b, or of the keys that the test
    names, one each in quarantine."""
    keys = getattr(request, "param", ["conv:a", "conv:b"])
    proxy = make_proxy(fresh_redis.url, settings={"redis.probe_interval": "100ms"}).start()
    acts(proxy, "redis")
    with RespConn.to(proxy) as conn:
        conn.pipeline(*(("RPUSH", key, "first") for key in keys))
        fresh_redis.kill()
        acts(proxy, "archive")
        conn.pipeline(*(("RPUSH", key, "second") for key in keys))
    fresh_redis.start()
    direct = fresh_redis.client(decode_responses=True)
    direct.flushall()
    for key in keys:
        direct.rpush(key, "mine", "alone")
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "redis"})
    acts(proxy, "redis")
    eventually(lambda: proxy.get_json("/api/v1/quarantine")["total"] == len(keys), timeout=15)
    tab = Console(chromium, proxy).open()
    tab.go("Quarantine")
    yield tab, direct
    tab.check()
    tab.close()
    direct.close()


def look(console, key):
    console.page.locator("tbody").get_by_role("button", name=key, exact=True).first.click()
    expect(console.dialog).to_contain_text("Put aside")


def test_the_quarantine_is_looked_at_and_emptied(torn):
    console, direct = torn
    rows = console.page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(console.page.get_by_role("link", name="Quarantine")).to_contain_text("2")
    assert console.violations() == []
    look(console, "conv:a")
    assert side_by_side(console) == [("Differs: mine", "Differs: first"), ("Differs: alone", "Differs: second")]
    console.confirm("Restore as")
    console.dialog.get_by_role("textbox").fill("conv:b")
    console.forgiven = "status of 409"
    console.confirm("Restore")
    expect(console.dialog.get_by_role("alert")).to_contain_text("exists already")
    console.dialog.get_by_role("textbox").fill("conv:c")
    console.confirm("Restore")
    expect(rows).to_have_count(1)
    assert direct.lrange("conv:c", 0, -1) == ["mine", "alone"]
    assert direct.lrange("conv:a", 0, -1) == ["first", "second"]

    look(console, "conv:b")
    console.confirm("Restore")
    expect(console.dialog).to_contain_text("is put aside first")
    console.confirm("Restore")
    expect(rows.first).not_to_have_attribute("data-entry", "2")
    eventually(lambda: direct.lrange("conv:b", 0, -1) == ["mine", "alone"])

    look(console, "conv:b")
    assert side_by_side(console)[0] == ("Differs: first", "Differs: mine"), "what was there before is kept"
    console.confirm("Drop")
    console.confirm("Drop")
    expect(rows).to_have_count(0)
    expect(console.page.locator("main")).to_contain_text("Nothing is in quarantine")
    assert direct.lrange("conv:b", 0, -1) == ["mine", "alone"]


@pytest.mark.parametrize("torn", [[f"conv:{i}" for i in range(104)]], indirect=True, ids=["104"])
def test_a_long_quarantine_comes_in_pages(torn):
    console, _ = torn
    rows = console.page.locator("tbody tr")
    status = console.page.locator(".page-head").get_by_role("status")
    expect(status).to_have_text("104 entries, the oldest 100 are shown")
    expect(rows).to_have_count(100)
    console.button("More entries").focus()
    console.page.keyboard.press("Enter")
    expect(rows).to_have_count(104)
    expect(status).to_have_text("104 entries")
    expect(console.button("More entries")).to_be_hidden()
    expect(rows.nth(100).get_by_role("button").first).to_be_focused()  # the keyboard goes on where the list did
    console.page.keyboard.press("Enter")
    expect(console.dialog).to_contain_text("Put aside")
    console.confirm("Drop")
    console.confirm("Drop")
    expect(rows).to_have_count(103)  # all pages stay


# ---- events ----


def test_events_come_live_and_by_level(console, proxy, conn, redis_server):
    console.go("Events")
    conn.cmd("CONFIG", "SET", "conv.max_messages", "150")
    conn.cmd("CONFIG", "SET", "conv.max_messages", "200")
    changed = console.page.locator('[data-event="setting_changed"]')
    expect(changed.first).to_contain_text("conv.max_messages")
    proxy.http("/api/v1/state", headers={"Authorization": "Bearer wrong"})
    console.button("Warnings").click()
    expect(changed).to_have_count(0)
    console.button("Errors").click()
    expect(console.page.locator('.event .chip[data-level="warn"]')).to_have_count(0)
    console.button("All").click()
    expect(changed.first).to_be_visible()


# ---- settings ----


def test_settings_are_found_and_changed(console, conn):
    page = console.page
    console.go("Settings")
    page.get_by_label("Search settings").fill("conv.max_messages")
    row = page.locator('[data-setting="conv.max_messages"]')
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row).to_contain_text("200")
    console.button("Change conv.max_messages").click()
    console.forgiven = "status of 400"
    console.dialog.get_by_role("textbox").fill("many")
    console.confirm("Change")
    expect(console.dialog.get_by_role("alert")).to_contain_text("conv.max_messages")
    console.dialog.get_by_role("textbox").fill("17")
    console.confirm("Change")
    expect(row).to_contain_text("17")
    expect(row).to_contain_text("default 200")
    assert conn.cmd("CONFIG", "GET", "conv.max_messages") == [b"conv.max_messages", b"17"]
    page.get_by_label("Search settings").fill("")
    console.button("Changed only").click()
    expect(row).to_be_visible()
    expect(page.locator('[data-setting="conv.ttl"]')).to_have_count(0)
    console.button("Change conv.max_messages").click()
    console.button("Default: 200").click()
    console.confirm("Change")
    assert eventually(lambda: conn.cmd("CONFIG", "GET", "conv.max_messages")[1] == b"200")


# ---- trouble ----


def test_redis_is_killed_while_one_looks(console, proxy, conn, redis_server, settled):
    conn.cmd("RPUSH", "conv:1", "before")
    redis_server.kill()
    try:
        expect(console.title()).to_have_text("The archive answers conv in place of Redis")
        expect(console.page.locator('[data-store-card="redis"] .chip')).to_have_text("down")
        expect(console.page.locator("#verdict-notes")).to_contain_text("Redis is down")
        assert conn.cmd("RPUSH", "conv:1", "meanwhile") == 2
        console.button("Let Redis answer conv").click()
        expect(console.dialog).to_contain_text("Redis is down")
        console.page.keyboard.press("Escape")
    finally:
        redis_server.start()
    expect(console.title()).to_have_text("All is well", timeout=20_000)
    expect(console.page.locator('[data-store-card="redis"] .chip')).to_have_text("up")
    assert redis_server.client(decode_responses=True).lrange("conv:1", 0, -1) == ["before", "meanwhile"]


def test_a_proxy_that_hangs_is_told_of_at_once(console, proxy):
    console.forgiven = "Failed to load resource: net::"
    proxy.pause()
    try:
        expect(console.title()).to_have_text("The proxy does not answer")
        expect(console.page.locator("main")).to_have_attribute("data-stale", "yes")
        expect(console.page.locator("#pulse")).to_have_text("no answer")
        expect(console.page.locator("#verdict-notes")).to_contain_text("asked again in")
    finally:
        proxy.resume()
    expect(console.title()).to_have_text("All is well", timeout=20_000)
    expect(console.page.locator("main")).not_to_have_attribute("data-stale", "yes")


def test_a_hidden_tab_asks_nobody(console):
    page = console.page
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true}); document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#pulse")).to_have_text("paused")
    page.wait_for_timeout(500)  # what was under way
    asked.clear()
    page.wait_for_timeout(1500)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    console.expect_live()


def test_it_asks_for_a_token(chromium, make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings={"admin.token": "full-token", "admin.read_token": "read-token"}).start()
    tab = Console(chromium, proxy)
    tab.forgiven = "status of 40[13]"
    tab.page.goto(tab.base)
    expect(tab.title()).to_have_text("The proxy asks for a token")
    tab.dialog.get_by_label("Token").fill("wrong")
    tab.confirm("Log in")
    expect(tab.dialog.get_by_role("alert")).to_have_text("This token was not accepted.")
    tab.dialog.get_by_label("Token").fill("read-token")
    tab.confirm("Log in")
    tab.expect_live()
    tab.button("Let the archive answer conv").click()
    tab.confirm("Switch to the archive")
    expect(tab.dialog.get_by_role("alert")).to_contain_text("admin.token")
    assert policy_with(proxy, "full-token")["primary"] == "redis"
    tab.check()
    tab.close()


def policy_with(proxy, token):
    status, text = proxy.http("/api/v1/state", headers={"Authorization": f"Bearer {token}"})
    assert status == 200
    return json.loads(text)["policies"][0]


# ---- how it looks ----


def test_the_theme_is_kept(chromium, proxy):
    console = Console(chromium, proxy).open()
    page = console.page
    dark = "getComputedStyle(document.body).backgroundColor"
    light_colour = page.evaluate(dark)
    for name in ("Theme: auto", "Theme: light"):
        console.button(name).click()
    expect(console.button("Theme: dark")).to_be_visible()
    assert page.evaluate(dark) != light_colour
    page.reload()
    expect(console.button("Theme: dark")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    console.check()
    console.close()


@pytest.mark.parametrize(("scheme", "rules"), [("light", None), ("dark", ["color-contrast"])])
def test_every_page_is_usable_with_other_senses(chromium, proxy, conn, scheme, rules):
    conn.cmd("RPUSH", "conv:1", '{"role": "user", "content": "hello"}')
    tab = Console(chromium, proxy, color_scheme=scheme, reduced_motion="reduce").open()
    for name in PAGES:
        tab.go(name)
        assert tab.violations(rules) == [], name
    tab.go("Overview")
    tab.button("Let the archive answer conv").click()
    assert tab.violations(rules) == [], "a dialog"
    tab.confirm("Cancel")
    tab.check()
    tab.close()


def test_a_phone_shows_all_of_it(chromium, proxy, conn):
    conn.cmd("RPUSH", HOSTILE, '{"role": "user", "content": "hello"}')
    tab = Console(chromium, proxy, viewport={"width": 360, "height": 740}).open()
    for name in PAGES:
        tab.go(name)
        assert tab.overflow() <= 0, name
    tab.go("Overview")
    tab.button("Let the archive answer conv").click()
    expect(tab.dialog).to_be_visible()
    assert tab.overflow() <= 0
    tab.confirm("Cancel")
    tab.check()
    tab.close()


def test_what_is_not_ours_is_what_its_list_says():
    vendor = ROOT / "web/vendor"
    listed = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE))
    assert set(listed) == {path.name for path in vendor.iterdir()} - {"README.md", "uPlot-LICENSE.txt", "inter-LICENSE.txt"}
    assert listed == {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in listed}


def test_nothing_in_the_page_reads_data_as_markup():
    for path in (ROOT / "web").glob("*.js"):
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), path.name
        assert len(text.splitlines()) < 400, path.name
    page = (ROOT / "web/index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?:|<script>", page)
