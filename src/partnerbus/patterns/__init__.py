"""The event-pattern language: parse, match, explain. Could be a package of its own.

pattern = parse_pattern('{"source": ["aws.partner/acme.com/orders"]}')   # or raises PatternError
index = PatternIndex[str]()
index.add("rule", pattern)
index.match(fields)                                                      # -> ["rule"]

The files in an order to read them in; each says on top how it works.

1. What a pattern is: `syntax` (its values), `parser` with `operators`, `wildcards`, `numbers`, `addresses`
   and `errors`. Below the parser is a reader of JSON that refuses as the service does: `json_reader`,
   `json_cursor`, `json_scalars`.
2. What a match is, one pattern at a time and arrays considered: `event_fields` (an event), `leaves` (its
   scalars and the array elements they are in), `matching` with `folding` (a matcher and a value), `walk` (a
   conjunction and the leaves). `entry` makes of these the exact test, which decides where no other way may.
3. Many patterns: `index` (by source), `group` (where a conjunction is kept: under its texts in `keyed`, with
   a `scalar_test` for what is left, or in a `block`). A block has a `path_test` for each path, and that has a
   `scalar_table` of `texts` (over `affixes`), `ranges` and addresses. `memo` keeps what values fail.
4. The short cut: `program` (the whole of it), `accessor` (types to decode into), `program_text` and
   `arrays_text` (the function that is written), `terms` (an expression for each path), `answers` (from bits
   to keys).
5. Why an event did or did not match: `explain`, with values for the answer in `explanation`, and
   `explain_places`, `explain_trace`, `explain_hints`, `explain_words`.
"""

from partnerbus.patterns.errors import PatternError
from partnerbus.patterns.event_fields import EventFields, event_fields
from partnerbus.patterns.index import PatternIndex
from partnerbus.patterns.parser import parse_pattern
from partnerbus.patterns.syntax import Pattern

__all__ = ["EventFields", "Pattern", "PatternError", "PatternIndex", "event_fields", "parse_pattern"]
