"""How a page's loading feels: the web vitals of the first page that a run opened, as the browser itself measures them.

TTFB and load are from Navigation Timing Level 2, FCP from Paint Timing, LCP and CLS from the specifications of the same names.
CLS is the largest sum of shifts in one session window (gaps under 1 s, 5 s at most), as web.dev defines it.
"""

from typing import TYPE_CHECKING

from earwitness.browser.patience import within

if TYPE_CHECKING:
    from playwright.async_api import Page

NAMES = ("ttfb", "first_contentful_paint", "largest_contentful_paint", "cumulative_layout_shift", "load")
_PATIENCE = 2.0  # seconds

_READ = """() => new Promise(done => {
  const seen = {}, navigation = performance.getEntriesByType('navigation')[0];
  if (navigation) {
    if (navigation.responseStart > 0) seen.ttfb = navigation.responseStart / 1000;
    if (navigation.loadEventEnd > 0) seen.load = navigation.loadEventEnd / 1000;
  }
  const observers = [];
  const observe = (type, each) => {
    try {
      const observer = new PerformanceObserver(list => list.getEntries().forEach(each));
      observer.observe({type, buffered: true});
      observers.push(observer);
    } catch (unsupported) { return; }
  };
  observe('paint', entry => {
    if (entry.name === 'first-contentful-paint') seen.first_contentful_paint = entry.startTime / 1000;
  });
  observe('largest-contentful-paint', entry => { seen.largest_contentful_paint = entry.startTime / 1000; });
  let worst = 0, sum = 0, first = 0, last = 0;
  observe('layout-shift', entry => {
    if (entry.hadRecentInput) return;
    if (entry.startTime - last < 1000 && entry.startTime - first < 5000) sum += entry.value;
    else { sum = entry.value; first = entry.startTime; }
    last = entry.startTime;
    worst = Math.max(worst, sum);
  });
  const began = performance.now();
  const look = setInterval(() => {
    const painted = 'first_contentful_paint' in seen && 'largest_contentful_paint' in seen;
    if (!painted && performance.now() - began < 500) return;  // a page may paint nothing
    clearInterval(look);
    observers.forEach(observer => observer.disconnect());
    seen.cumulative_layout_shift = worst;
    done(seen);
  }, 50);
})"""


async def read_vitals(page: "Page") -> dict[str, float]:
    """Return what the page tells, by NAMES; seconds, and a ratio for the layout shift. Empty when it does not answer in time."""
    try:
        found = await within(_PATIENCE, page.evaluate(_READ))
    except Exception:  # noqa: BLE001  Figures are worth no failure, whatever Playwright says.
        return {}
    return {name: float(found[name]) for name in NAMES if isinstance(found.get(name), int | float)}
