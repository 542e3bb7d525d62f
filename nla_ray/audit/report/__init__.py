"""The report of an audit: a model of what it says, and pages made from that alone."""

from nla_ray.audit.report.model import Report
from nla_ray.audit.report.write import FORMATS, Format, write_report

__all__ = ["FORMATS", "Format", "Report", "write_report"]
