"""What can be wrong with a page, found by looking at it: how it is built, who it shuts out, where the keyboard goes.

Each function takes an open page and gives sentences; none means that nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES = [*WCAG, "best-practice"]
AXE = Axe()


def built(page: Page, name: str) -> list[str]:
    """One h1, one main, a title, no id twice, states as icon and word, polite live regions, nothing too wide."""
    found = page.evaluate(BUILT)
    wrong = [f"{name}: {found[what]} {what}" for what in ("h1", "main") if found[what] != 1]
    if not found["title"].endswith("Stepstream") or found["title"].strip(" ·") == "":
        wrong.append(f"{name}: titled “{found['title']}”")
    wrong += [f"{name}: the id {twice} twice" for twice in found["twice"]]
    wrong += [f"{name}: {flaw}" for flaw in found["flaws"]]
    return wrong + wide(page, name)


BUILT = """() => {
    const all = what => [...document.querySelectorAll(what)], say = what => e => `${what}: ${e.outerHTML.slice(0, 90)}`;
    const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
    return {
        h1: document.querySelectorAll('h1').length, main: document.querySelectorAll('main').length,
        title: document.title, twice: ids.filter((id, at) => ids.indexOf(id) !== at),
        flaws: [
            ...all('use').filter(e => !document.querySelector(e.getAttribute('href'))).map(say('no such icon')),
            ...all('.chip, .state').filter(e => !e.querySelector('use') || !e.textContent.trim())
                .map(say('a state without icon or word')),
            ...all('[aria-live=assertive], [role=alert]:empty').map(say('not polite')),
            ...all('.btn.primary').filter(e => e.checkVisibility()).slice(1).map(say('a second primary button')),
            ...all('[style], [onclick]').map(say('an attribute that our policy refuses')),
        ],
    };
}"""


def wide(page: Page, name: str) -> list[str]:
    """A page never scrolls sideways; a table or a drawing inside it may."""
    found = page.evaluate(WIDE)
    return [f"{name}: {found['overflow']} px too wide, by {found['culprits']}"] if found["overflow"] > 0 else []


WIDE = """() => {
    const root = document.documentElement;
    const cuts = e => /auto|scroll|hidden|clip/.test(getComputedStyle(e).overflowX);
    const scrolls = e => e && e !== root && (cuts(e) || scrolls(e.parentElement));
    const culprits = [...document.querySelectorAll('main *')]
        .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 && !scrolls(e.parentElement)).slice(0, 4)
        .map(e => `${e.tagName.toLowerCase()}.${e.getAttribute('class') ?? ''}`);
    return { overflow: root.scrollWidth - root.clientWidth, culprits };
}"""


def open_to_all(page: Page, name: str, rules: Sequence[str] = RULES) -> list[str]:
    """What axe-core finds, by the rules of WCAG 2.2 AA and by good practice."""
    options = {"runOnly": list(rules), "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = AXE.run(page, options=options).response["violations"]
    return [
        f"{name}: {rule['id']} at {node['target']}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in found
        for node in rule["nodes"][:3]
    ]


def small(page: Page, name: str, least: int) -> list[str]:
    """Buttons, fields and what looks like them that are smaller than a finger, or than 24 px for a mouse."""
    found: list[str] = page.evaluate(SMALL, least)
    return [f"{name}: {what}" for what in found]


#: A checkbox is as large as its label, which is pressed too. A link in a text is as high as its line (2.5.8, inline).
SMALL = """least => {
    const parts = 'button, summary, input:not([type=hidden]), select, textarea, .btn, .tabs a, .menu a, nav.nav a';
    const area = e => (e.matches('[type=checkbox], [type=radio]') && e.labels[0] || e).getBoundingClientRect();
    return [...document.querySelectorAll(parts)].filter(e => e.checkVisibility() && !e.closest('.sr'))
        .map(e => [e, area(e)]).filter(([, box]) => box.width && (box.height < least - .5 || box.width < 23.5))
        .map(([e, box]) => `${box.width | 0}×${box.height | 0} px are small for ${e.outerHTML.slice(0, 90)}`);
}"""


def moving(page: Page, name: str) -> list[str]:
    """What still moves."""
    found: list[str] = page.evaluate(MOVING)
    return [f"{name}: {what} moves" for what in found]


MOVING = """() => document.getAnimations().filter(a => a.playState === 'running')
    .map(a => a.effect.target.outerHTML.slice(0, 80))"""


def walked(page: Page, name: str, most: int = 400) -> list[str]:
    """Through the whole page by the Tab key, until the focus leaves it: seen at each stop, and held nowhere."""
    page.evaluate("() => document.activeElement?.blur()")
    wrong: list[str] = []
    stops: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        at = page.evaluate(STOP)
        if at is None or (stops and at["where"] == stops[0]):
            return wrong
        if at["where"] == (stops[-1] if stops else None):
            return [*wrong, f"{name}: the Tab key stays on {at['what']}"]
        stops.append(at["where"])
        wrong += [f"{name}: {flaw} on {at['what']}" for flaw in at["flaws"]]
    return [*wrong, f"{name}: more than {most} stops of the Tab key"]


#: A ring, an outline or a shadow around what has the focus or around what holds it; and it lies in the window.
STOP = """() => {
    const at = document.activeElement;
    if (!at || at === document.body || at === document.documentElement) return null;
    const hasOutline = s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0;
    const hasRing = e => hasOutline(getComputedStyle(e)) || getComputedStyle(e).boxShadow !== 'none';
    const box = at.getBoundingClientRect(), flaws = [];
    const x = box.x + Math.min(box.width / 2, 40), y = box.y + Math.min(box.height / 2, 20);
    const top = document.elementFromPoint(Math.max(x, 1), Math.max(y, 1));
    const isCovered = top && !at.contains(top) && !top.contains(at) && !at.labels?.length;
    if (!hasRing(at) && !hasRing(at.parentElement)) flaws.push('the focus cannot be seen');
    if (box.bottom < 0 || box.top > innerHeight || box.width === 0) flaws.push('the focus is out of sight');
    else if (isCovered) flaws.push(`something covers the focus (${top.outerHTML.slice(0, 60)})`);
    const place = e => [...e.parentElement.children].indexOf(e);
    const path = e => e.parentElement ? `${path(e.parentElement)}>${place(e)}` : '';
    return { where: path(at), what: at.outerHTML.slice(0, 100), flaws };
}"""


def spaced(page: Page) -> None:
    """Text as far apart as WCAG 1.4.12 lets a reader set it."""
    page.evaluate(
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important; }
                               * { word-spacing: .16em !important; } p { margin-bottom: 2em !important; }`);
            document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
        }"""
    )
