"""The store of many nodes, on NATS JetStream: one replicated order of commands, applied by each of them.

Every verb that changes something is a command (`commands`). A node packs those that wait into one message
and publishes it (`publisher`) to a stream that is kept by the cluster (`stream`); every node reads the stream
in its order (`follower`) and runs the commands on tables of its own (`applier`, `read_model`), which are the
embedded store's. The answer to a verb is what running it gave here. So the order alone decides: who was first
to change a value, who holds a claim, what was appended already. All reads are answered from the tables.

The log of commands is bounded by copies of the tables in the cluster (`copies`); a node that starts without
tables, or with old ones, begins with such a copy. So does a store that was moved here from a folder
(`move_in`), and what a copy and the commands behind it make is what is moved to one (`move_out`).

Read in this order: `store`, `replica`, `commands`, `outgoing`, `publisher`, `follower`, `applier`,
`read_model`, `nodes`, `duties`, `copies`, `parts`, `likeness`, `catching_up`, `news`, `stream`, `session`,
`address`; then `move`, `move_in`, `move_out`.
"""

from partnerbus.store.jetstream.address import ClusterSettings
from partnerbus.store.jetstream.store import JetStreamStore

__all__ = ["ClusterSettings", "JetStreamStore"]
