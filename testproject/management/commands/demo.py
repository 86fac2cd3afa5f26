"""``manage.py demo``."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from testproject.demo import Demo


class Command(BaseCommand):
    help = "Show files stored on disk and on a real S3 server, in a browser."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000)")
        parser.add_argument("--once", action="store_true", help="check it all without a browser")
        parser.add_argument("--no-seed", action="store_true", help="start without sample files")

    def handle(self, *args: Any, **options: Any) -> None:
        demo = Demo(
            self.say, port=options["port"], once=options["once"], seeded=not options["no_seed"]
        )
        status = demo.run()
        if status:
            sys.exit(status)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
