"""The console: pages under `/console` for the operator, partners and customers.

Start at `app` (what is made of what), `visit` (what a page gets) and `screens/` (one file per part of the
navigation). A page reads what the admin face answers its viewer and writes through the wire API's operations:
it can show and do nothing that its viewer could not.
"""
