"""The transfer audit ledger: evidence of cross-border data transfers that nobody can rewrite unnoticed.

The way of the data, and the module of each stage::

    push → accept → commit → (receipt) → batch → anchor → prove → evidence
           catalogue  entry    receipt     batch   anchor   proof   evidence/

Imports point one way: types, errors → pure core (canonical, disclosure, merkle, note) → stages → ports →
pipeline → bootstrap → api, cli. Only `bootstrap` imports `adapters`.
"""

__version__ = "0.1.0"
