"""Faults in the chain of reads: what joins, and what contradicts."""

from adversary.faulty_code import Mutation, Rule, changed

__all__ = ["CHAIN_MUTATIONS"]

_CHAIN = "fleet.chain"

# fmt: off
CHAIN_MUTATIONS: tuple[Mutation, ...] = (
    # --- joins -------------------------------------------------------------------------------------------------------
    changed(Rule.JOIN, _CHAIN, "a join on one row is taken as safe", "SAFE_JOIN_ROWS = 2", "SAFE_JOIN_ROWS = 1"),
    changed(
        Rule.JOIN, _CHAIN, "a gap is taken as a join",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor and not self.repeated",
        "return not self.repeated",
    ),
    changed(
        Rule.JOIN, _CHAIN, "a weak join is called a gap",
        "return self.at_anchor == 1 and not self.repeated", "return False",
    ),
    changed(
        Rule.JOIN, _CHAIN, "rows count as shared before they are known",
        "at_anchor=len(recent),", "at_anchor=len(keys),",
    ),
    changed(
        Rule.REPEATED, _CHAIN, "a key that comes twice is ignored",
        "repeated=self._sightings.look(keys).repeated,", "repeated=False,",
    ),
    changed(
        Rule.REPEATED, _CHAIN, "a read with a key twice joins",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor and not self.repeated",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor",
    ),
    changed(
        Rule.JOIN, _CHAIN, "rows that jumped to the tail join a read",
        "at_anchor=len(recent),", "at_anchor=len(known),",
    ),
    changed(
        Rule.JOIN, _CHAIN, "few shared rows behind many new ones join",
        "and self.leading <= self.at_anchor and not", "and not",
    ),
    # --- the order, and the closing reads ----------------------------------------------------------------------------
    changed(
        Rule.ORDER, _CHAIN, "a contradiction is ignored",
        "in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known))", "in_order=True",
    ),
    changed(
        Rule.ORDER, _CHAIN, "a contradiction is ignored but with the read before",
        "in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known))",
        "in_order=all(a <= b for a, b in pairwise(rank for _, rank in known if rank >= self._frontier))",
    ),
    changed(
        Rule.ORDER, _CHAIN, "a read that did not join contradicts nothing",
        "            and not any(map(partial(_in_another_order, keys), self._refused)),", ",",
    ),
    changed(
        Rule.ORDER, _CHAIN, "ranks begin anew with every read",
        "self._highest += len(tail)", "self._highest = len(tail)",
    ),
    changed(
        Rule.ORDER, _CHAIN, "new rows at the head are taken for the farthest",
        "if at_head and not known:", "if False:",
        "extends = last_rank >= self._frontier if known else not at_head", "extends = True",
    ),
)
# fmt: on
