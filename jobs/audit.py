"""Audit a dataset: its labels, its copies, and what a leaking split would have claimed."""

import sys

from gmn.evaluation.audit import AuditConfig, audit, to_json, to_lines
from gmn.storage import Folder
from jobs._job import log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.audit", __doc__, AuditConfig, run_audit, argv)


def run_audit(config: AuditConfig) -> str:
    """Audit, and keep the findings in the dataset as audit.json."""
    log_beside(config.dataset)
    found = audit(config)
    print("\n".join(to_lines(found)))
    Folder(config.dataset).write_json("audit.json", to_json(found))
    return f"audit: {config.dataset}/audit.json"


if __name__ == "__main__":
    sys.exit(main())
