"""The bars of refreshing, each beside the shapes that other products have, in the same run; prints Markdown.

python compare.py [--reads 2000] [--rounds 5] [--grants 100000]
"""

from __future__ import annotations

import argparse
import asyncio

import fast_path
import hour
import stampede
from ground import postgresql, sqlite

from keyturn.server import logs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grants", type=int, default=100_000)
    options = parser.parse_args()
    logs.configure(log_format="text", level="warning")
    with postgresql() as server, sqlite() as file_url:
        print("## A fresh token\n\n| database | shape | tokens/s | statements | writes | ratio |")
        print("|---|---|---|---|---|---|")
        for name, url in (("SQLite", file_url), ("PostgreSQL", server())):
            for line in asyncio.run(fast_path.measure(name, url, options.reads)):
                print(line, flush=True)
        print("\n## 50 callers on 25 replicas wait for one expired grant\n")
        print("| shape | requests | replays | sessions held over HTTP | added to the request, worst | ratio |")
        print("|---|---|---|---|---|---|")
        for line in asyncio.run(stampede.measure(server, options.rounds)):
            print(line, flush=True)
    print("\n## 100,000 grants of an hour each, 4 replicas, in simulated time\n")
    print("\n".join(hour.measure(options.grants)))


if __name__ == "__main__":
    main()
