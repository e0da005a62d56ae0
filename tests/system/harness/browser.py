"""Debian's Chromium, driven by Playwright, and a page of the console that must stay clean: no error, no other host, no broken rule."""
import os
import re
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

from .proxy import ROOT

CHROMIUM = os.environ.get("CONV_CHROMIUM", "/usr/bin/chromium")
# Without these it asks Google's hosts for things, and wants a sandbox and a GPU that CI does not have.
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
AXE = ROOT / "tests/clients/node_modules/axe-core/axe.min.js"
VIOLATIONS = """() => { window.__refused = []; document.addEventListener("securitypolicyviolation",
    (e) => window.__refused.push(e.violatedDirective + " " + e.blockedURI)); }"""

expect.set_options(timeout=10_000)


@contextmanager
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield chromium
        finally:
            chromium.close()


class Console:
    """A tab with the console of one proxy. What `forgiven` finds in a message of the browser's is what the test wants: "400"."""

    def __init__(self, chromium, proxy, **options):
        self.proxy = proxy
        self.base = proxy.admin_url("/")
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.add_init_script(f"({VIOLATIONS})()")
        self.problems, self.hosts, self.forgiven = [], set(), None
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2] if "//" in request.url else request.url))

    def _said(self, message):
        wanted = self.forgiven is not None and re.search(self.forgiven, message.text)
        if message.type in ("error", "warning") and not wanted:
            self.problems.append(f"console {message.type}: {message.text} {message.location}")

    def open(self, page="overview"):
        self.page.goto(f"{self.base}#{page}")
        self.expect_live()
        return self

    def go(self, page):
        """As a click on the page's tab."""
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=page).click()
        expect(self.page.locator(f'#tabs a[aria-current="page"]')).to_contain_text(page)

    def afresh(self):
        """The overview of a page that was just opened, or that an earlier test has left well."""
        self.problems.clear()
        self.forgiven = None
        if self.page.url.startswith(self.base) and self.page.locator("dialog[open]").count() == 0:
            self.page.evaluate("location.hash = '#overview'")
            self.expect_live()
        else:
            self.page.goto("about:blank")
            self.open()

    def expect_live(self):
        expect(self.page.locator("#pulse")).to_have_text("live")

    def title(self):
        return self.page.locator("#verdict-title")

    def button(self, name, exact=True):
        return self.page.get_by_role("button", name=name, exact=exact)

    @property
    def dialog(self):
        """The one on top."""
        return self.page.locator("dialog[open]").last

    def confirm(self, name):
        """Clicks the button of the dialog that does it."""
        self.dialog.locator("footer").get_by_role("button", name=name, exact=True).click()

    def overflow(self):
        """By how many pixels the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def violations(self, rules=None):
        """What axe-core finds that is serious or critical, of some rules or of all: [(rule, selectors, …)]."""
        self.page.evaluate(AXE.read_text())
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = self.page.evaluate("async (options) => (await axe.run(document, options)).violations", options)
        return [
            (one["id"], [node["target"] for node in one["nodes"]], [node["failureSummary"] for node in one["nodes"]][:2])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def check(self):
        """Nothing went wrong that a person would not see."""
        assert not self.problems, self.problems
        refused = self.page.evaluate("window.__refused")
        assert not refused, refused
        assert self.hosts == {f"{self.proxy.host}:{self.proxy.admin_port}"}, self.hosts

    def close(self):
        self.context.close()
