"""The event-pattern language: parse, match, explain. Could be a package of its own.

pattern = parse_pattern('{"source": ["aws.partner/acme.com/orders"]}')   # or raises PatternError
index = PatternIndex[str]()
index.add("rule", pattern)
index.match(fields)                                                      # -> ["rule"]
"""

from partnerbus.patterns.errors import PatternError
from partnerbus.patterns.event_fields import EventFields, event_fields
from partnerbus.patterns.index import PatternIndex
from partnerbus.patterns.parser import parse_pattern
from partnerbus.patterns.syntax import Pattern

__all__ = ["EventFields", "Pattern", "PatternError", "PatternIndex", "event_fields", "parse_pattern"]
