"""Has pip's own reader read a requirements file; the argument. Writes what it found as JSON, or {"error": reason}."""
import argparse
import json
import sys

from pip._internal.index.collector import LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements

session = PipSession()
options = argparse.Namespace(index_url="", extra_index_urls=[], find_links=[], no_index=False)
finder = PackageFinder.create(LinkCollector.create(session, options, suppress_no_index=True), SelectionPreferences(allow_yanked=True))
try:
    lines = [
        {
            "text": r.requirement,
            "editable": r.is_editable,
            "constraint": bool(r.constraint),
            "at": r.line_source or "",
            "hashes": sorted(k + ":" + v for k, vs in (r.options or {}).get("hashes", {}).items() for v in vs),
        }
        for r in parse_requirements(sys.argv[1], session=session, finder=finder)
    ]
    out = {
        "lines": lines,
        "indexes": [u for u in finder.index_urls if u],
        "find_links": finder.find_links,
        "no_binary": sorted(finder.format_control.no_binary),
        "only_binary": sorted(finder.format_control.only_binary),
        "pre": getattr(finder, "allow_all_prereleases", None),
        "prefer_binary": finder.prefer_binary,
        "trusted": sorted(finder.trusted_hosts),
    }
except (Exception, SystemExit) as e:
    out = {"error": str(e) or repr(e)}
json.dump(out, sys.stdout)
