"""What partnerbus is tested with, shipped for whoever builds on it.

`store_contract` and `store_machine` hold a store to its protocol, `receiver` is a scripted HTTP target,
`server_process` runs a real server, `crash` kills it and counts, `pytest_plugin` gives fixtures.
"""
