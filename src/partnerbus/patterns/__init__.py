"""The event-pattern language: parse, match, explain. Could be a package of its own.

pattern = parse_pattern('{"source": ["aws.partner/acme.com/orders"]}')   # or raises PatternError
index = PatternIndex[str]()
index.add("rule", pattern)
index.match(fields)                                                      # -> ["rule"]
"""
